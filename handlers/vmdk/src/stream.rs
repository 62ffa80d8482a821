//! streamOptimized: compressed grains, each behind its marker, in one pass.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_unpack::{Crew, StoredReader};

use crate::grains::Grains;
use crate::header::{Header, SECTOR, SECTOR_LEN};
use crate::marker::{GRAIN_MARKER, Marker, Metadata};
use crate::refusal::corrupt;
use crate::stream_tables::{Between, StreamTables, mismatch};

/// Reads grains and tables from behind the descriptor, or the tables in front, up to the end.
pub(crate) fn feed(
    reader: &mut StoredReader<'_>,
    header: &Header,
    mut tables: StreamTables,
    crew: &Crew<'_>,
) -> Result<()> {
    to_first_grain(reader, header)?;
    let mut grains = Grains::new(crew, header, 0)?;
    loop {
        // qemu-img writes no marker at the end.
        if matches!(tables, StreamTables::InFront { .. }) && reader.at_end()? {
            break;
        }
        let sector = reader.position() / SECTOR;
        match read_marker(reader)? {
            Marker::Grain { lba, stored } => {
                let number = check_grain(header, &tables, lba, stored)?;
                tables.grain(number, sector_number(sector)?, header);
                grains.add_compressed(reader, lba, usize::try_from(stored).unwrap_or(usize::MAX))?;
                to_next_sector(reader)?;
            }
            Marker::Metadata { sectors } => {
                let metadata = read_metadata(reader, header, sectors)?;
                if !matches!(metadata, Metadata::GrainTable | Metadata::Unspecified) {
                    // What is wrong with the last grains is told before what is wrong behind them.
                    grains.finish()?;
                }
                if metadata_ends(reader, header, &mut tables, metadata, sectors)? {
                    break;
                }
            }
        }
    }
    grains.finish()?;
    match tables {
        StreamTables::InFront { listed, seen, .. } if listed != seen => Err(mismatch()),
        _ => Ok(()),
    }
}

/// Goes to the first grain; what is passed over must be there, so that no cut goes unnoticed.
fn to_first_grain(reader: &mut StoredReader<'_>, header: &Header) -> Result<()> {
    // Offsets are those of files, which are signed.
    let is_offset = |first: &u64| *first >= reader.position() && i64::try_from(*first).is_ok();
    let first = header.overhead.checked_mul(SECTOR).filter(is_offset);
    let first = first.ok_or_else(|| corrupt("vmdk-overhead", "grains begin where the tables or nothing can be"))?;
    if first > reader.position() {
        reader.seek(first.saturating_sub(1));
        reader.take(1)?;
    }
    Ok(())
}

fn read_marker(reader: &mut StoredReader<'_>) -> Result<Marker> {
    let bytes = reader.take(GRAIN_MARKER)?;
    Ok(Marker::parse(bytes.first_chunk().unwrap_or(&[0; GRAIN_MARKER])))
}

/// Checks a grain's marker; gives the grain's number.
fn check_grain(header: &Header, tables: &StreamTables, lba: u64, stored: u32) -> Result<u64> {
    let number = lba.checked_div(header.grain_sectors).filter(|_| lba < header.capacity);
    let number = number.filter(|number| number.checked_mul(header.grain_sectors) == Some(lba));
    let Some(number) = number else {
        return Err(corrupt("vmdk-grain-out-of-range", format!("a grain is at sector {lba}, where none can be")));
    };
    // Twice a grain's size is what qemu takes; deflate adds less than a thousandth where it gains nothing.
    if u64::from(stored) > header.grain_bytes().saturating_mul(2) {
        return Err(corrupt("vmdk-grain-size", format!("a compressed grain has {stored} bytes")));
    }
    if matches!(tables, StreamTables::Between(between) if between.directory().is_some()) {
        return Err(corrupt("vmdk-marker-order", "a grain is behind the grain directory"));
    }
    Ok(number)
}

fn read_metadata(reader: &mut StoredReader<'_>, header: &Header, sectors: u64) -> Result<Metadata> {
    let rest = reader.take(SECTOR_LEN.saturating_sub(GRAIN_MARKER))?;
    let rest = rest.first_chunk().unwrap_or(&[0; SECTOR_LEN - GRAIN_MARKER]);
    Metadata::parse(rest, sectors, |metadata| match metadata {
        Metadata::EndOfStream | Metadata::Unspecified => 0,
        Metadata::GrainTable => header.table_sectors(),
        Metadata::GrainDirectory => header.directory_sectors(),
        Metadata::Footer => 1,
    })
}

/// Reads what a metadata marker announced; whether it was the end.
fn metadata_ends(
    reader: &mut StoredReader<'_>,
    header: &Header,
    tables: &mut StreamTables,
    metadata: Metadata,
    sectors: u64,
) -> Result<bool> {
    let order = |what| corrupt("vmdk-marker-order", what);
    let sector = reader.position() / SECTOR;
    match (metadata, tables) {
        (Metadata::EndOfStream, StreamTables::InFront { .. }) => {
            check_padding(reader, header)?;
            return Ok(true);
        }
        (Metadata::GrainTable, StreamTables::Between(between)) if between.directory().is_none() => {
            between.read_table(reader, sector_number(sector)?, header)?;
        }
        (Metadata::GrainDirectory, StreamTables::Between(between)) if between.directory().is_none() => {
            between.read_directory(reader)?;
        }
        (Metadata::Footer, StreamTables::Between(between)) if between.directory().is_some() => {
            read_footer(reader, header, between)?;
            return Ok(true);
        }
        (Metadata::Unspecified, _) => {
            for _ in 0..sectors {
                reader.take(SECTOR_LEN)?;
            }
        }
        (Metadata::EndOfStream, _) => return Err(order("the stream ends without a footer")),
        (Metadata::Footer, StreamTables::Between(_)) => return Err(order("the footer is in front of the directory")),
        (_, StreamTables::Between(_)) => return Err(order("a table or directory is behind the grain directory")),
        (_, StreamTables::InFront { .. }) => {
            return Err(order("there are tables between the grains as well as in front of them"));
        }
    }
    to_next_sector(reader)?;
    Ok(false)
}

/// The footer, the marker of the end, and nothing more: a reader of tables looks for them in the last three sectors.
fn read_footer(reader: &mut StoredReader<'_>, header: &Header, tables: &Between) -> Result<()> {
    let sector = reader.take(SECTOR_LEN)?;
    let footer = Header::parse(sector.first_chunk().unwrap_or(&[0; SECTOR_LEN]));
    let agrees = footer.is_ok_and(|it| header.agrees_with(&it) && it.directory() == tables.directory());
    if !agrees {
        return Err(corrupt("vmdk-footer-mismatch", "the footer does not say what the header and the stream say"));
    }
    match read_marker(reader)? {
        Marker::Metadata { sectors } if read_metadata(reader, header, sectors)? == Metadata::EndOfStream => {}
        _ => return Err(corrupt("vmdk-marker-order", "the footer is not followed by the end of the stream")),
    }
    if reader.at_end()? {
        Ok(())
    } else {
        Err(corrupt("vmdk-trailing-bytes", "something is behind the end of the stream"))
    }
}

/// What follows the end where the tables are in front: qemu-img lets the file end with zeros, up to the place where a
/// whole grain would have ended.
fn check_padding(reader: &mut StoredReader<'_>, header: &Header) -> Result<()> {
    let most = usize::try_from(header.grain_bytes()).unwrap_or(usize::MAX);
    let padding = reader.take_most(most)?;
    if padding.iter().any(|byte| *byte != 0) || !reader.at_end()? {
        return Err(corrupt("vmdk-trailing-bytes", "something is behind the end of the stream"));
    }
    Ok(())
}

/// Passes over the rest of a sector.
fn to_next_sector(reader: &mut StoredReader<'_>) -> Result<()> {
    let rest = reader.position().next_multiple_of(SECTOR).saturating_sub(reader.position());
    reader.take(usize::try_from(rest).unwrap_or(SECTOR_LEN))?;
    Ok(())
}

/// A sector as tables give it.
fn sector_number(sector: u64) -> Result<u32> {
    let too_far = |_| Error::new(ErrorKind::Limit, "vmdk-too-long", "the file is longer than its tables can say");
    u32::try_from(sector).map_err(too_far)
}
