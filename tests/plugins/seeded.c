/* A source of random bytes that can be computed anywhere, and that fails in any way that is wanted.
 *
 *   seeded://NAME/SIZE/SEED?OPTION=VALUE&OPTION=VALUE     handler "seeded", kind source; %XX in a value is decoded
 *
 * Content. All numbers are unsigned with 64 bits and wrap around. The byte at offset o is byte (o % 8), the least
 * significant one being byte 0, of
 *   z = SEED + (o / 8 + 1) * 0x9E3779B97F4A7C15
 *   z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
 *   z = (z ^ (z >> 27)) * 0x94D049BB133111EB
 *   z = z ^ (z >> 31)
 * zeros=K              64 KiB blocks whose index K divides are zeros, the first one always
 *
 * What it says it is:
 *   ranged=0|1           IMGH_SOURCE_RANGED; 1 if absent. Without it a read that does not begin at 0 is invalid
 *   sized=0|1            1 if absent; 0: the size is unknown
 *   fd=1                 hands out a descriptor of a memfd with the content as well
 *   validator=TEXT       its validator
 * When it answers:
 *   open-latency=MS      before open returns
 *   latency=MS           before the first byte of each read
 *   rate=BYTES           a second, for each read
 *   chunk=BYTES          at most this many for each reservation; 262144 if absent
 * Lies, of which nothing is said:
 *   flip=OFFSET          this byte is XORed with 0xFF; up to 64 times
 *   size-lie=N           its size is N
 *   short=OFFSET         every read ends there
 *   long=N               every read gives N more bytes than it should; they go on where the content ends
 * Failures. A read that has the byte at OFFSET in its range gives the bytes before it first:
 *   open-fail=KIND       open fails as "seeded-open-fault"
 *   fail=KIND            how a read fails; unavailable if absent. The code is "seeded-fault"
 *   fail-at=OFFSET       a read fails there
 *   fail-after=N         every read fails once all reads of this opened source have given N bytes together
 *   fail-times=N         only N times for this opened source, then the read goes on
 *   stall-at=OFFSET      a read hangs there until it is cancelled
 *   stall-after=N        a read hangs once it has given N bytes and is to give more
 *   stall-times=N        only N times for this opened source
 *   stall-hard=1         a hanging read does not look at the cancellation
 *   crash-at=OFFSET      a write to address 0
 *   noise=N              open writes N warnings to the log and N lines to standard error
 * At the same offset it crashes first, then stalls, then fails. An option that is not listed is invalid.
 *
 * Configuration: count_file, a path that is opened for appending in create. Every open appends "NAME open", every
 * commit "NAME OFFSET LEN" just before it, each a line and one write.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "imgh.h"
#include "kit.h"

enum { BLOCK = 65536, FLIPS = 64, NAME_BYTES = 128, TEXT_BYTES = 256, RATE_STEPS = 1000 / KIT_SLICE_MS };

struct imgh_instance {
  const imgh_host *host;
  int count_fd; /* or -1 */
};

/* The URL. Of what was not given, an offset or a count is UINT64_MAX, which nothing reaches. */
struct plan {
  uint64_t size, seed, zeros;
  uint64_t ranged, sized, fd, size_lie;
  uint64_t open_latency, latency, rate, chunk;
  uint64_t short_at, more;
  uint64_t fail_at, fail_after, fail_times, stall_at, stall_after, stall_times, stall_hard, crash_at;
  uint64_t noise;
  uint64_t flip[FLIPS];
  size_t flips;
  imgh_status fail, open_fail;
  char name[NAME_BYTES], validator[TEXT_BYTES];
};

struct opened {
  imgh_source source;
  imgh_instance *instance;
  struct plan plan;
  atomic_uint_least64_t served, failures, stalls;
};

static const struct plan usual = {
    .ranged = 1,
    .sized = 1,
    .size_lie = UINT64_MAX,
    .chunk = 262144,
    .short_at = UINT64_MAX,
    .fail_at = UINT64_MAX,
    .fail_after = UINT64_MAX,
    .fail_times = UINT64_MAX,
    .stall_at = UINT64_MAX,
    .stall_after = UINT64_MAX,
    .stall_times = UINT64_MAX,
    .crash_at = UINT64_MAX,
    .fail = IMGH_ERR_UNAVAILABLE,
};

static const struct {
  const char *name;
  size_t at;
} numbers[] = {
    {"zeros", offsetof(struct plan, zeros)},
    {"ranged", offsetof(struct plan, ranged)},
    {"sized", offsetof(struct plan, sized)},
    {"fd", offsetof(struct plan, fd)},
    {"size-lie", offsetof(struct plan, size_lie)},
    {"open-latency", offsetof(struct plan, open_latency)},
    {"latency", offsetof(struct plan, latency)},
    {"rate", offsetof(struct plan, rate)},
    {"chunk", offsetof(struct plan, chunk)},
    {"short", offsetof(struct plan, short_at)},
    {"long", offsetof(struct plan, more)},
    {"fail-at", offsetof(struct plan, fail_at)},
    {"fail-after", offsetof(struct plan, fail_after)},
    {"fail-times", offsetof(struct plan, fail_times)},
    {"stall-at", offsetof(struct plan, stall_at)},
    {"stall-after", offsetof(struct plan, stall_after)},
    {"stall-times", offsetof(struct plan, stall_times)},
    {"stall-hard", offsetof(struct plan, stall_hard)},
    {"crash-at", offsetof(struct plan, crash_at)},
    {"noise", offsetof(struct plan, noise)},
};

/* ---- The URL ---- */

static int take_text(char *into, size_t room, const char *text) {
  const size_t len = strlen(text);
  if (len >= room) return 0;
  memcpy(into, text, len + 1);
  return 1;
}

static int take_option(struct plan *plan, const char *name, const char *value) {
  size_t at;
  uint64_t *field;
  if (strcmp(name, "validator") == 0) return take_text(plan->validator, sizeof plan->validator, value);
  if (strcmp(name, "fail") == 0) return (plan->fail = kit_kind(value)) != 0;
  if (strcmp(name, "open-fail") == 0) return (plan->open_fail = kit_kind(value)) != 0;
  if (strcmp(name, "flip") == 0) return plan->flips < FLIPS && kit_number(value, &plan->flip[plan->flips++]);
  for (at = 0; at < sizeof numbers / sizeof *numbers; at++) {
    if (strcmp(name, numbers[at].name) != 0) continue;
    field = (uint64_t *)(void *)((char *)plan + numbers[at].at);
    return kit_number(value, field);
  }
  return 0;
}

static imgh_status plan_of(struct kit_url *url, struct plan *plan, imgh_error *err) {
  const char *name, *value;
  *plan = usual;
  if (url->segments != 3 || !take_text(plan->name, sizeof plan->name, url->segment[0]) ||
      !kit_number(url->segment[1], &plan->size) || !kit_number(url->segment[2], &plan->seed))
    return imgh_fail(err, IMGH_ERR_INVALID, "seeded-url", "the location is no seeded://NAME/SIZE/SEED");
  while (kit_next_option(&url->query, &name, &value)) {
    if (!take_option(plan, name, value)) {
      char message[TEXT_BYTES];
      snprintf(message, sizeof message, "there is no option %.60s=%.60s", name, value);
      return imgh_fail(err, IMGH_ERR_INVALID, "seeded-option", message);
    }
  }
  if (plan->chunk == 0) return imgh_fail(err, IMGH_ERR_INVALID, "seeded-option", "a chunk has at least one byte");
  return 0;
}

/* ---- Reading ---- */

/* Where the content ends, which need not be what the size says. */
static uint64_t end_of(const struct plan *plan) { return kit_least(plan->size, plan->short_at); }

static void content(const struct plan *plan, unsigned char *bytes, size_t len, uint64_t offset) {
  size_t done, at;
  for (done = 0; done < len;) {
    const uint64_t here = offset + done;
    const size_t part = (size_t)kit_least(len - done, plan->zeros == 0 ? len : BLOCK - here % BLOCK);
    if (plan->zeros != 0 && here / BLOCK % plan->zeros == 0)
      memset(bytes + done, 0, part);
    else
      kit_fill(bytes + done, part, here, plan->seed);
    done += part;
  }
  for (at = 0; at < plan->flips; at++)
    if (plan->flip[at] >= offset && plan->flip[at] - offset < len) bytes[plan->flip[at] - offset] ^= 0xFF;
}

/* One line, whole: several threads and processes append to the same file. */
static void count(const imgh_instance *instance, const char *line) {
  if (instance->count_fd >= 0 && write(instance->count_fd, line, strlen(line)) < 0) abort();
}

static void count_commit(const struct opened *opened, uint64_t offset, size_t len) {
  char line[NAME_BYTES + 64];
  if (opened->instance->count_fd < 0) return;
  snprintf(line, sizeof line, "%s %llu %zu\n", opened->plan.name, (unsigned long long)offset, len);
  count(opened->instance, line);
}

/* Whether this is one of the first `times`. */
static int takes_turn(atomic_uint_least64_t *turns, uint64_t times) { return atomic_fetch_add(turns, 1) < times; }

/* Served in one piece before any of the points where something happens. */
static size_t step_of(const struct opened *opened, uint64_t begin, uint64_t offset, uint64_t end) {
  const struct plan *plan = &opened->plan;
  const uint64_t served = atomic_load(&opened->served), given = offset - begin;
  uint64_t step = kit_least(end - offset, plan->chunk);
  if (plan->rate != 0) step = kit_least(step, plan->rate / RATE_STEPS + 1);
  if (plan->crash_at > offset) step = kit_least(step, plan->crash_at - offset);
  if (plan->stall_at > offset) step = kit_least(step, plan->stall_at - offset);
  if (plan->stall_after > given) step = kit_least(step, plan->stall_after - given);
  if (plan->fail_at > offset) step = kit_least(step, plan->fail_at - offset);
  if (plan->fail_after > served) step = kit_least(step, plan->fail_after - served);
  return (size_t)step;
}

static void crash(void) {
  volatile int *volatile nowhere = NULL;
  *nowhere = 1;
}

/* What is to happen before the byte at `offset`. */
static imgh_status happen(struct opened *opened, imgh_call *call, uint64_t begin, uint64_t offset, imgh_error *err) {
  const struct plan *plan = &opened->plan;
  if (offset == plan->crash_at) crash();
  if ((offset == plan->stall_at || offset - begin == plan->stall_after) &&
      takes_turn(&opened->stalls, plan->stall_times)) {
    while (plan->stall_hard != 0) pause();
    kit_sleep_until(opened->instance->host, call, UINT64_MAX);
    return kit_cancelled(err);
  }
  if ((offset == plan->fail_at || atomic_load(&opened->served) >= plan->fail_after) &&
      takes_turn(&opened->failures, plan->fail_times)) {
    char message[TEXT_BYTES];
    snprintf(message, sizeof message, "%s fails at byte %llu, as it was told to", plan->name,
             (unsigned long long)offset);
    return imgh_fail(err, plan->fail, "seeded-fault", message);
  }
  return opened->instance->host->is_cancelled(call) ? kit_cancelled(err) : 0;
}

/* Waits until `step` more bytes are due. A reader that was behind gets no more than one slice at once. */
static int pace(const struct opened *opened, imgh_call *call, uint64_t *due, size_t step) {
  const uint64_t slice = KIT_SLICE_MS * UINT64_C(1000000), now = kit_now_ns();
  if (opened->plan.rate == 0) return 0;
  if (*due + slice < now) *due = now - slice;
  *due += (uint64_t)((double)step / (double)opened->plan.rate * 1e9);
  return kit_sleep_until(opened->instance->host, call, *due);
}

static imgh_status read_seeded(void *ctx, imgh_call *call, uint64_t offset, uint64_t len, const imgh_sink *sink,
                               imgh_error *err) {
  struct opened *opened = ctx;
  const struct plan *plan = &opened->plan;
  const uint64_t begin = offset, stop = end_of(plan);
  uint64_t end = offset < stop ? offset + kit_least(len, stop - offset) : offset, due;
  if (plan->ranged == 0 && offset != 0)
    return imgh_fail(err, IMGH_ERR_INVALID, "seeded-not-ranged", "a source that is not ranged was read in part");
  end += plan->more;
  if (kit_sleep_until(opened->instance->host, call, kit_now_ns() + plan->latency * 1000000)) return kit_cancelled(err);
  for (due = kit_now_ns(); offset < end;) {
    size_t step, room;
    void *buf;
    imgh_status status = happen(opened, call, begin, offset, err);
    if (status != 0) return status;
    step = step_of(opened, begin, offset, end);
    if (pace(opened, call, &due, step)) return kit_cancelled(err);
    if ((status = sink->reserve(sink->ctx, step, &buf, &room, err)) != 0) return status;
    content(plan, buf, room, offset);
    count_commit(opened, offset, room);
    if ((status = sink->commit(sink->ctx, room, err)) != 0) return status;
    atomic_fetch_add(&opened->served, room);
    offset += room;
  }
  return 0;
}

/* ---- Opening ---- */

static void make_noise(imgh_instance *self, imgh_call *call, const struct plan *plan) {
  uint64_t at;
  for (at = 0; at < plan->noise; at++) {
    char line[NAME_BYTES + 64];
    snprintf(line, sizeof line, "%s: noise %llu", plan->name, (unsigned long long)at);
    self->host->log(call, IMGH_LOG_WARN, imgh_text("seeded"), imgh_text(line));
    fprintf(stderr, "%s\n", line);
  }
}

/* A memfd with the content, or -1. */
static int file_of(const struct plan *plan) {
  unsigned char block[BLOCK];
  uint64_t offset, end = end_of(plan);
  int fd = memfd_create("seeded", MFD_CLOEXEC);
  for (offset = 0; fd >= 0 && offset < end; offset += BLOCK) {
    const size_t part = (size_t)kit_least(BLOCK, end - offset);
    content(plan, block, part, offset);
    if (pwrite(fd, block, part, (off_t)offset) != (ssize_t)part) {
      close(fd);
      fd = -1;
    }
  }
  return fd;
}

static void close_seeded(void *ctx) {
  struct opened *opened = ctx;
  if (opened->source.flags & IMGH_SOURCE_FD) close(opened->source.fd);
  free(opened);
}

static imgh_status open_seeded(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_source **out,
                               imgh_error *err) {
  struct kit_url url;
  struct plan plan;
  struct opened *opened;
  char line[NAME_BYTES + 8];
  imgh_status status = kit_location(self->host, call, request, &url, err);
  if (status == 0) status = plan_of(&url, &plan, err);
  if (status != 0) return status;
  snprintf(line, sizeof line, "%s open\n", plan.name);
  count(self, line);
  make_noise(self, call, &plan);
  if (kit_sleep_until(self->host, call, kit_now_ns() + plan.open_latency * 1000000)) return kit_cancelled(err);
  if (plan.open_fail != 0)
    return imgh_fail(err, plan.open_fail, "seeded-open-fault", "it does not open, as it was told to");
  opened = calloc(1, sizeof *opened);
  if (opened == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for a source");
  opened->instance = self;
  opened->plan = plan;
  opened->source.struct_size = sizeof opened->source;
  opened->source.ctx = opened;
  opened->source.size = plan.sized == 0 ? -1 : (int64_t)(plan.size_lie == UINT64_MAX ? plan.size : plan.size_lie);
  opened->source.flags = plan.ranged != 0 ? IMGH_SOURCE_RANGED : 0;
  opened->source.validator = imgh_text(opened->plan.validator);
  opened->source.read = read_seeded;
  opened->source.close = close_seeded;
  if (plan.fd != 0) {
    if ((opened->source.fd = file_of(&plan)) < 0) {
      status = imgh_fail_os(err, IMGH_ERR_IO, errno, "seeded-file", "no memfd for the content");
      free(opened);
      return status;
    }
    opened->source.flags |= IMGH_SOURCE_FD;
  }
  *out = &opened->source;
  return 0;
}

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  static const char *const known[] = {"count_file", NULL};
  char path[KIT_URL_BYTES];
  imgh_instance *self;
  if (!kit_only(kit_json(config), known))
    return imgh_fail(err, IMGH_ERR_INVALID, "bad-config", "the one key is count_file");
  if ((self = malloc(sizeof *self)) == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  self->host = host;
  self->count_fd = -1;
  if (kit_string(kit_member(kit_json(config), "count_file"), path, sizeof path)) {
    self->count_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (self->count_fd < 0) {
      const imgh_status status = imgh_fail_os(err, IMGH_ERR_IO, errno, "seeded-count-file", path);
      free(self);
      return status;
    }
  }
  *out = self;
  return 0;
}

static void destroy(imgh_instance *self) {
  if (self != NULL && self->count_fd >= 0) close(self->count_fd);
  free(self);
}

static const imgh_handler handler = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"seeded\",\"kinds\":[\"source\"],\"schemes\":[\"seeded\"]}"),
    .create = create,
    .destroy = destroy,
    .open = open_seeded,
};

static const imgh_handler *const handlers[] = {&handler};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("seeded"),
    .version = IMGH_LITERAL("0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 1,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
