/* Unpacks disks that are stored as blocks in any order.
 *
 *   format "shuffled"          handler "shuffle"         read forward only
 *   format "shuffled-ranged"   handler "shuffle-ranged"  built with -DRANGED, needs an input that can be read anywhere
 *
 * Stored form. All numbers are little endian.
 *   header, 4096 bytes:  0 "LFSHUFL1"   8 u64 disk size   16 u64 block size   24 u64 number of records   32 zeros
 *     The block size is a multiple of 4096 and at most 4 MiB. There are no more records than the disk has blocks; a
 *     block without one is zeros.
 *   record, 32 bytes:    0 u64 block index   8 u64 flags   16 u64 FNV-1a of the data   24 u64 data offset
 *     Flag 1: a zero block without data, whose last two numbers are not looked at. No other flag is known.
 *   data: the block's bytes; the last block of the disk ends where the disk ends.
 *
 *   shuffled:            the header, then each record with its data behind it. The data offset is 0.
 *   shuffled-ranged:     the header, data anywhere, and all records together as the last bytes of the file. The data
 *                        offset counts from the beginning of the file and is at least 4096.
 *
 * Codes, of kind corrupt where nothing else is said:
 *   shuffle-header    the header is wrong
 *   shuffle-limit     the disk is larger than limits.disk_bytes (limit)
 *   shuffle-record    a record has an index, a flag or an offset that cannot be
 *   shuffle-twice     a block comes twice
 *   shuffle-checksum  a block is not what its record says
 *   shuffle-short     the input ends early, or data reaches into the table
 *   shuffle-trailing  the input goes on behind the last record
 *   shuffle-input     the input is not ranged or has no size, where both are needed (unsupported)
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imgh.h"
#include "kit.h"

#ifdef RANGED
#define ID "shuffle-ranged"
#define MORE "\"formats\":[\"shuffled-ranged\"],\"ranged_input\":true"
#else
#define ID "shuffle"
#define MORE "\"formats\":[\"shuffled\"]"
#endif

enum { HEADER = 4096, RECORD = 32, FIELDS = 32, READ = 262144, GRAIN = 4096, BLOCK_MOST = 4 << 20, ZERO_BLOCK = 1 };

struct imgh_instance {
  const imgh_host *host;
};

struct header {
  uint64_t disk_size, block_size, records, blocks;
};

struct record {
  uint64_t index, flags, sum, data;
};

/* Reads forward, 256 KiB at once, from which smaller reads are served. */
struct reader {
  const imgh_input *input;
  uint64_t next;   /* where the following read begins */
  size_t at, have; /* in bytes */
  unsigned char bytes[READ];
};

struct unpacking {
  const imgh_host *host;
  imgh_call *call;
  struct header header;
  struct reader reader;
  unsigned char *seen; /* a bit for each block */
  unsigned char block[BLOCK_MOST];
};

#define TRY(action)                   \
  do {                                \
    imgh_status status_ = (action);   \
    if (status_ != 0) return status_; \
  } while (0)

static imgh_status corrupt(imgh_error *err, const char *code, const char *message) {
  return imgh_fail(err, IMGH_ERR_CORRUPT, code, message);
}

static uint64_t number_at(const unsigned char *bytes) {
  uint64_t number;
  memcpy(&number, bytes, sizeof number);
  return le64toh(number);
}

/* ---- Input ---- */

static imgh_status refill(struct reader *reader, size_t most, imgh_error *err) {
  const imgh_input *input = reader->input;
  reader->at = reader->have = 0;
  TRY(input->read_at(input->ctx, reader->bytes, most, reader->next, &reader->have, err));
  reader->next += reader->have;
  return 0;
}

static imgh_status take(struct reader *reader, unsigned char *into, size_t len, imgh_error *err) {
  while (len > 0) {
    size_t part;
    if (reader->at == reader->have) TRY(refill(reader, READ, err));
    if (reader->have == 0) return corrupt(err, "shuffle-short", "the input ends before its last record");
    part = (size_t)kit_least(len, reader->have - reader->at);
    memcpy(into, reader->bytes + reader->at, part);
    reader->at += part;
    into += part;
    len -= part;
  }
  return 0;
}

#ifdef RANGED
static imgh_status take_at(const imgh_input *input, uint64_t offset, unsigned char *into, size_t len, imgh_error *err) {
  while (len > 0) {
    size_t got = 0;
    TRY(input->read_at(input->ctx, into, (size_t)kit_least(len, READ), offset, &got, err));
    if (got == 0) return corrupt(err, "shuffle-short", "the input ends within a block");
    offset += got;
    into += got;
    len -= got;
  }
  return 0;
}
#endif

static imgh_status at_end(struct reader *reader, imgh_error *err) {
  if (reader->at == reader->have) TRY(refill(reader, 1, err));
  if (reader->at < reader->have)
    return corrupt(err, "shuffle-trailing", "the input goes on behind its last record");
  return 0;
}

/* ---- Format ---- */

static imgh_status take_header(struct unpacking *unpacking, uint64_t limit, imgh_error *err) {
  struct header *header = &unpacking->header;
  unsigned char *bytes = unpacking->block;
  size_t at;
  TRY(take(&unpacking->reader, bytes, HEADER, err));
  header->disk_size = number_at(bytes + 8);
  header->block_size = number_at(bytes + 16);
  header->records = number_at(bytes + 24);
  if (memcmp(bytes, "LFSHUFL1", 8) != 0) return corrupt(err, "shuffle-header", "the input does not begin as " ID);
  for (at = FIELDS; at < HEADER; at++)
    if (bytes[at] != 0) return corrupt(err, "shuffle-header", "the header does not end with zeros");
  if (header->block_size == 0 || header->block_size % GRAIN != 0 || header->block_size > BLOCK_MOST)
    return corrupt(err, "shuffle-header", "the block size is no multiple of 4096 up to 4 MiB");
  if (header->disk_size > limit)
    return imgh_fail(err, IMGH_ERR_LIMIT, "shuffle-limit", "the disk is larger than a disk may be");
  header->blocks = header->disk_size / header->block_size + (header->disk_size % header->block_size != 0);
  if (header->records > header->blocks)
    return corrupt(err, "shuffle-header", "there are more records than the disk has blocks");
  unpacking->seen = calloc((size_t)(header->blocks / 8 + 1), 1);
  if (unpacking->seen == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for the blocks seen");
  return 0;
}

static imgh_status take_record(struct unpacking *unpacking, struct record *record, imgh_error *err) {
  unsigned char bytes[RECORD];
  unsigned char *seen, bit;
  TRY(take(&unpacking->reader, bytes, RECORD, err));
  record->index = number_at(bytes);
  record->flags = number_at(bytes + 8);
  record->sum = number_at(bytes + 16);
  record->data = number_at(bytes + 24);
  if (record->index >= unpacking->header.blocks)
    return corrupt(err, "shuffle-record", "a block lies beyond the end of the disk");
  if ((record->flags & ~(uint64_t)ZERO_BLOCK) != 0) return corrupt(err, "shuffle-record", "a flag is not known");
  seen = &unpacking->seen[record->index / 8];
  bit = (unsigned char)(1u << record->index % 8);
  if (*seen & bit) return corrupt(err, "shuffle-twice", "a block comes twice");
  *seen |= bit;
  return 0;
}

static imgh_status put_block(struct unpacking *unpacking, const struct record *record, const imgh_output *output,
                             imgh_error *err) {
  const uint64_t offset = record->index * unpacking->header.block_size;
  const size_t len = (size_t)kit_least(unpacking->header.block_size, unpacking->header.disk_size - offset);
  if (record->flags & ZERO_BLOCK) return output->zero(output->ctx, offset, len, err);
#ifdef RANGED
  {
    const imgh_input *input = unpacking->reader.input;
    const uint64_t table = (uint64_t)input->size - unpacking->header.records * RECORD;
    if (record->data < HEADER || record->data > table)
      return corrupt(err, "shuffle-record", "a block's data is in the header or the table, or beyond the end");
    if (table - record->data < len) return corrupt(err, "shuffle-short", "a block's data reaches into the table");
    TRY(take_at(input, record->data, unpacking->block, len, err));
  }
#else
  if (record->data != 0) return corrupt(err, "shuffle-record", "a record gives an offset, where data follows it");
  TRY(take(&unpacking->reader, unpacking->block, len, err));
#endif
  if (kit_fnv(unpacking->block, len) != record->sum)
    return corrupt(err, "shuffle-checksum", "a block is not what its record says");
  return output->write_at(output->ctx, unpacking->block, len, offset, err);
}

static imgh_status put_blocks(struct unpacking *unpacking, uint64_t limit, imgh_error *err) {
  const imgh_host *host = unpacking->host;
  const struct header *header = &unpacking->header;
  struct reader *reader = &unpacking->reader;
  const imgh_output *output;
  uint64_t at;
  TRY(take_header(unpacking, limit, err));
#ifdef RANGED
  if (reader->input->size < HEADER || ((uint64_t)reader->input->size - HEADER) / RECORD < header->records)
    return corrupt(err, "shuffle-short", "the input has no room for its records");
  /* From here on the reader is for the table. */
  reader->at = reader->have = 0;
  reader->next = (uint64_t)reader->input->size - header->records * RECORD;
#endif
  TRY(host->open_output(unpacking->call, 0, header->disk_size, imgh_text(""), &output, err));
  for (at = 0; at < header->records; at++) {
    struct record record;
    if (host->is_cancelled(unpacking->call)) return kit_cancelled(err);
    TRY(take_record(unpacking, &record, err));
    TRY(put_block(unpacking, &record, output, err));
    host->progress(unpacking->call, kit_least((at + 1) * header->block_size, header->disk_size),
                   (int64_t)header->disk_size);
  }
  TRY(at_end(reader, err));
  return output->finish(output->ctx, err);
}

static imgh_status unpack(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_input *in,
                          imgh_error *err) {
  const uint64_t limit = kit_integer(kit_member(kit_member(kit_json(request), "limits"), "disk_bytes"), UINT64_MAX);
  struct unpacking *unpacking;
  imgh_status status;
#ifdef RANGED
  if (in->size < 0 || !(in->flags & IMGH_INPUT_RANGED))
    return imgh_fail(err, IMGH_ERR_UNSUPPORTED, "shuffle-input", "the input is not ranged, or its size is not known");
#endif
  unpacking = calloc(1, sizeof *unpacking);
  if (unpacking == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for a block");
  unpacking->host = self->host;
  unpacking->call = call;
  unpacking->reader.input = in;
  status = put_blocks(unpacking, limit, err);
  free(unpacking->seen);
  free(unpacking);
  return status;
}

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  static const char *const known[] = {NULL};
  if (!kit_only(kit_json(config), known)) return imgh_fail(err, IMGH_ERR_INVALID, "bad-config", "there are no keys");
  *out = malloc(sizeof **out);
  if (*out == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  (*out)->host = host;
  return 0;
}

static void destroy(imgh_instance *self) { free(self); }

static const imgh_handler handler = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"" ID "\",\"kinds\":[\"unpack\"]," MORE "}"),
    .create = create,
    .destroy = destroy,
    .unpack = unpack,
};

static const imgh_handler *const handlers[] = {&handler};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL(ID),
    .version = IMGH_LITERAL("0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 1,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
