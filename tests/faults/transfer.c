/* Serves transfer://PATH: brings the file PATH, in every way that an output offers. Between 256 KiB and 512 KiB the file
 * is a hole; there garbage is written first and then zeroed, so that zeroing is no matter of course. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imgh.h"

enum { KIB = 1024, HOLE = 256 * KIB, PIECE = 4096 };

struct imgh_instance {
  const imgh_host *host;
};

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  (void)config;
  *out = malloc(sizeof **out);
  if (*out == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for an instance");
  (*out)->host = host;
  return 0;
}

static void destroy(imgh_instance *self) { free(self); }

static imgh_status probe(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err) {
  (void)request;
  return self->host->result(call, imgh_text("{\"accepts\":true}"), err);
}

/* Opens the path of the request's location, which the tests write without anything to be escaped. */
static int open_source(imgh_str request) {
  static const char before[] = "\"location\":{\"url\":\"transfer://";
  char path[PATH_MAX];
  size_t at, len;
  for (at = 0; at + sizeof before - 1 <= request.len; at++)
    if (memcmp(request.ptr + at, before, sizeof before - 1) == 0) break;
  at += sizeof before - 1;
  for (len = 0; at + len < request.len && request.ptr[at + len] != '"'; len++)
    if (len + 1 >= sizeof path) return -1;
  if (at >= request.len) return -1;
  memcpy(path, request.ptr + at, len);
  path[len] = '\0';
  return open(path, O_RDONLY | O_CLOEXEC);
}

#define TRY(action)                   \
  do {                                \
    imgh_status status_ = (action);   \
    if (status_ != 0) return status_; \
  } while (0)

static imgh_status bring(const imgh_output *output, int fd, uint64_t size, imgh_error *err) {
  static char garbage[HOLE], piece[PIECE];
  memset(garbage, 0x5a, sizeof garbage);
  if (pread(fd, piece, sizeof piece, 0) != (ssize_t)sizeof piece)
    return imgh_fail(err, IMGH_ERR_IO, "read", "the source cannot be read");
  TRY(output->set_size(output->ctx, size, err));
  TRY(output->adopt_fd(output->ctx, fd, 0, 0, size, err));
  TRY(output->write_at(output->ctx, garbage, sizeof garbage, HOLE, err));
  TRY(output->zero(output->ctx, HOLE, HOLE, err));
  TRY(output->write_at(output->ctx, piece, sizeof piece, 0, err));
  return output->finish(output->ctx, err);
}

static imgh_status transfer(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err) {
  const imgh_output *output;
  struct stat stat;
  imgh_status status;
  int fd = open_source(request);
  if (fd < 0 || fstat(fd, &stat) != 0) {
    if (fd >= 0) close(fd);
    return imgh_fail(err, IMGH_ERR_NOT_FOUND, "no-such-file", "there is no file transfer://PATH");
  }
  status = self->host->open_output(call, 0, PIECE, imgh_text(""), &output, err);
  if (status == 0) status = bring(output, fd, (uint64_t)stat.st_size, err);
  close(fd);
  return status;
}

static const imgh_handler handler = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"transfer\",\"kinds\":[\"transfer\"],\"schemes\":[\"transfer\"]}"),
    .create = create,
    .destroy = destroy,
    .probe = probe,
    .transfer = transfer,
};

static const imgh_handler *const handlers[] = {&handler};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("transfer"),
    .version = IMGH_LITERAL("0.1.0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 1,
};

IMGH_EXPORT const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
