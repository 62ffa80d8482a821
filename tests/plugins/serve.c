/* A source that serves the files of one directory by ranges and never hands out their descriptors.
 *
 *   serve://NAME/FILE?OPTION=VALUE&OPTION=VALUE     handler "serve", kind source; FILE is a name in the directory
 *
 *   ranged=0|1       IMGH_SOURCE_RANGED; 1 if absent. Without it a read that does not begin at 0 is invalid
 *   sized=0|1        1 if absent; 0: the size is unknown
 *   size-lie=N       its size is N
 *   flip=OFFSET      this byte is XORed with 0xFF
 *   short=OFFSET     every read ends there
 *   long=N           every read that ends where the file ends gives N more bytes, which are zeros
 *   fail=KIND        how a read fails; unavailable if absent. The code is "serve-fault"
 *   fail-at=OFFSET   a read that comes to this byte fails
 *   fail-times=N     only N times for this opened source
 *   stall-at=OFFSET  a read that comes to this byte hangs until it is cancelled
 *   stall-times=N    only N times for this opened source
 *
 * Configuration: root, the directory, and count_file, to which every open appends "NAME open" and every commit
 * "NAME OFFSET LEN", each a line and one write.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imgh.h"
#include "kit.h"

enum { CHUNK = 65536, NAME_BYTES = 128, TEXT_BYTES = 256 };

struct imgh_instance {
  const imgh_host *host;
  int root_fd, count_fd; /* count_fd may be -1 */
};

/* Of what was not given, an offset or a count is UINT64_MAX, which nothing reaches. */
struct plan {
  uint64_t ranged, sized, size_lie, flip, short_at, more, fail_at, fail_times, stall_at, stall_times;
  imgh_status fail;
  char name[NAME_BYTES];
};

struct opened {
  imgh_source source;
  imgh_instance *instance;
  struct plan plan;
  int fd;
  uint64_t size;
  atomic_uint_least64_t failures, stalls;
};

static const struct plan usual = {1, 1, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0, UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                  UINT64_MAX, IMGH_ERR_UNAVAILABLE, ""};

static const struct {
  const char *name;
  size_t at;
} numbers[] = {
    {"ranged", offsetof(struct plan, ranged)},          {"sized", offsetof(struct plan, sized)},
    {"size-lie", offsetof(struct plan, size_lie)},      {"flip", offsetof(struct plan, flip)},
    {"short", offsetof(struct plan, short_at)},         {"long", offsetof(struct plan, more)},
    {"fail-at", offsetof(struct plan, fail_at)},        {"fail-times", offsetof(struct plan, fail_times)},
    {"stall-at", offsetof(struct plan, stall_at)},      {"stall-times", offsetof(struct plan, stall_times)},
};

static int take_option(struct plan *plan, const char *name, const char *value) {
  size_t at;
  if (strcmp(name, "fail") == 0) return (plan->fail = kit_kind(value)) != 0;
  for (at = 0; at < sizeof numbers / sizeof *numbers; at++)
    if (strcmp(name, numbers[at].name) == 0)
      return kit_number(value, (uint64_t *)(void *)((char *)plan + numbers[at].at));
  return 0;
}

static imgh_status plan_of(struct kit_url *url, struct plan *plan, imgh_error *err) {
  const char *name, *value;
  *plan = usual;
  if (url->segments != 2 || strlen(url->segment[0]) >= sizeof plan->name || *url->segment[1] == '.')
    return imgh_fail(err, IMGH_ERR_INVALID, "serve-url", "the location is no serve://NAME/FILE");
  strcpy(plan->name, url->segment[0]);
  while (kit_next_option(&url->query, &name, &value))
    if (!take_option(plan, name, value)) return imgh_fail(err, IMGH_ERR_INVALID, "serve-option", name);
  return 0;
}

/* One line, whole: several threads and processes append to the same file. */
static void count(const imgh_instance *instance, const char *line) {
  if (instance->count_fd >= 0 && write(instance->count_fd, line, strlen(line)) < 0) abort();
}

static void count_commit(const struct opened *opened, uint64_t offset, size_t len) {
  char line[NAME_BYTES + 64];
  snprintf(line, sizeof line, "%s %llu %zu\n", opened->plan.name, (unsigned long long)offset, len);
  count(opened->instance, line);
}

/* The bytes from `offset` on; beyond the end of the file they are zeros. */
static imgh_status content(const struct opened *opened, unsigned char *into, size_t len, uint64_t offset,
                           imgh_error *err) {
  const ssize_t got = pread(opened->fd, into, len, (off_t)offset);
  if (got < 0) return imgh_fail_os(err, IMGH_ERR_IO, errno, "serve-read", "read the file");
  memset(into + got, 0, len - (size_t)got);
  if (opened->plan.flip >= offset && opened->plan.flip - offset < len) into[opened->plan.flip - offset] ^= 0xFF;
  return 0;
}

/* What is to happen before the byte at `offset`. */
static imgh_status happen(struct opened *opened, imgh_call *call, uint64_t offset, imgh_error *err) {
  const struct plan *plan = &opened->plan;
  if (offset == plan->stall_at && atomic_fetch_add(&opened->stalls, 1) < plan->stall_times) {
    kit_sleep_until(opened->instance->host, call, UINT64_MAX);
    return kit_cancelled(err);
  }
  if (offset == plan->fail_at && atomic_fetch_add(&opened->failures, 1) < plan->fail_times)
    return imgh_fail(err, plan->fail, "serve-fault", "it fails here, as it was told to");
  return opened->instance->host->is_cancelled(call) ? kit_cancelled(err) : 0;
}

static size_t step_of(const struct plan *plan, uint64_t offset, uint64_t end) {
  uint64_t step = kit_least(end - offset, CHUNK);
  if (plan->fail_at > offset) step = kit_least(step, plan->fail_at - offset);
  if (plan->stall_at > offset) step = kit_least(step, plan->stall_at - offset);
  return (size_t)step;
}

static imgh_status read_file(void *ctx, imgh_call *call, uint64_t offset, uint64_t len, const imgh_sink *sink,
                             imgh_error *err) {
  struct opened *opened = ctx;
  const struct plan *plan = &opened->plan;
  const uint64_t stop = kit_least(opened->size, plan->short_at);
  uint64_t end = offset < stop ? offset + kit_least(len, stop - offset) : offset;
  if (plan->ranged == 0 && offset != 0)
    return imgh_fail(err, IMGH_ERR_INVALID, "serve-not-ranged", "a source that is not ranged was read in part");
  if (end == opened->size) end += plan->more;
  while (offset < end) {
    size_t room;
    void *buf;
    imgh_status status = happen(opened, call, offset, err);
    if (status == 0) status = sink->reserve(sink->ctx, step_of(plan, offset, end), &buf, &room, err);
    if (status == 0) status = content(opened, buf, room, offset, err);
    if (status != 0) return status;
    count_commit(opened, offset, room);
    if ((status = sink->commit(sink->ctx, room, err)) != 0) return status;
    offset += room;
  }
  return 0;
}

static void close_file(void *ctx) {
  struct opened *opened = ctx;
  close(opened->fd);
  free(opened);
}

static imgh_status open_file(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_source **out,
                             imgh_error *err) {
  struct kit_url url;
  struct plan plan;
  struct opened *opened;
  struct stat meta;
  char line[NAME_BYTES + 8];
  int fd;
  imgh_status status = kit_location(self->host, call, request, &url, err);
  if (status == 0) status = plan_of(&url, &plan, err);
  if (status != 0) return status;
  snprintf(line, sizeof line, "%s open\n", plan.name);
  count(self, line);
  fd = openat(self->root_fd, url.segment[1], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return imgh_fail_os(err, errno == ENOENT ? IMGH_ERR_NOT_FOUND : IMGH_ERR_IO, errno, "serve-open", "open");
  opened = calloc(1, sizeof *opened);
  if (opened == NULL || fstat(fd, &meta) != 0) {
    free(opened);
    close(fd);
    return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for a source");
  }
  opened->instance = self;
  opened->plan = plan;
  opened->fd = fd;
  opened->size = (uint64_t)meta.st_size;
  opened->source.struct_size = sizeof opened->source;
  opened->source.ctx = opened;
  opened->source.size = plan.sized == 0 ? -1 : (int64_t)(plan.size_lie == UINT64_MAX ? opened->size : plan.size_lie);
  opened->source.flags = plan.ranged != 0 ? IMGH_SOURCE_RANGED : 0;
  opened->source.read = read_file;
  opened->source.close = close_file;
  *out = &opened->source;
  return 0;
}

static void destroy(imgh_instance *self) {
  if (self != NULL && self->root_fd >= 0) close(self->root_fd);
  if (self != NULL && self->count_fd >= 0) close(self->count_fd);
  free(self);
}

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  static const char *const known[] = {"root", "count_file", NULL};
  const struct kit_json json = kit_json(config);
  char path[KIT_URL_BYTES];
  imgh_instance *self;
  if (!kit_only(json, known)) return imgh_fail(err, IMGH_ERR_INVALID, "bad-config", "the keys are root and count_file");
  if ((self = malloc(sizeof *self)) == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  self->host = host;
  self->root_fd = self->count_fd = -1;
  if (kit_string(kit_member(json, "root"), path, sizeof path))
    self->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (kit_string(kit_member(json, "count_file"), path, sizeof path))
    self->count_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  *out = self;
  return 0;
}

static const imgh_handler handler = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"serve\",\"kinds\":[\"source\"],\"schemes\":[\"serve\"]}"),
    .create = create,
    .destroy = destroy,
    .open = open_file,
};

static const imgh_handler *const handlers[] = {&handler};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("serve"),
    .version = IMGH_LITERAL("0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 1,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
