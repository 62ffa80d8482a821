//! The product built with fault points: another binary than the one that is released and that the other tests run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::command::Landfall;
use crate::support::install::refuse_stale;
use crate::support::world::World;

/// Where a build with fault points is, if it is not where `make test` puts it.
const PLACE: &str = "LANDFALL_FAULTS_BIN";

const HOW: &str = "`make test`, or `cargo build -p landfall --features fault-points --target-dir target/faults` \
                   (with the profile of the tests; LANDFALL_FAULTS_BIN names a binary that is elsewhere)";

/// The binary and the points that it knows.
pub(crate) struct FaultBuild {
    pub(crate) landfall: PathBuf,
    pub(crate) points: Vec<String>,
}

impl FaultBuild {
    /// The build, copied once to where no plugin is beside it. Fails, rather than skips, when it is missing or older than
    /// its sources: nothing else shows what these tests show.
    pub(crate) fn get(world: &World) -> &'static Self {
        static BUILD: OnceLock<Result<FaultBuild, String>> = OnceLock::new();
        match BUILD.get_or_init(|| Self::prepare(world)) {
            Ok(build) => build,
            Err(problem) => panic!("the build with fault points: {problem}"),
        }
    }

    fn prepare(world: &World) -> Result<Self, String> {
        let built = match std::env::var_os(PLACE) {
            Some(place) => PathBuf::from(place),
            None => beside_the_tests(),
        };
        refuse_stale(&built, &built.with_extension("d"), HOW)?;
        let landfall = world.mounts.run_dir().join("faulty/landfall");
        fs::create_dir_all(landfall.parent().expect("a file has a directory"))
            .and_then(|()| fs::copy(&built, &landfall))
            .map_err(|error| format!("copy {}: {error}", built.display()))?;
        let answer = Landfall::new(&landfall).arg("fault-points").run();
        if answer.status != 0 {
            return Err(format!("{} has no fault points; build it: {HOW}", built.display()));
        }
        let points = answer.stdout.lines().map(str::to_owned).collect();
        Ok(Self { landfall, points })
    }
}

/// `TARGET/faults/PROFILE/landfall`, where the tests' own binary is `TARGET/PROFILE/landfall`.
fn beside_the_tests() -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_landfall")).parent().expect("a binary has a directory");
    let target = profile.parent().expect("a profile's folder is in the target folder");
    target.join("faults").join(profile.file_name().expect("a profile has a name")).join("landfall")
}
