/* A source handler for what happens at the edges: of its structs, and of a move that is halfway through.
 *
 *   edges://long            the source's struct is longer than the header knows, its end filled with 0xFF
 *   edges://guard           the source's struct ends where a page begins that nobody can read
 *   edges://fill/SIZE       SIZE bytes of x, of unknown size, not ranged
 *   edges://gate/SIZE/FIFO  the same of known size; after the first half it logs "gate reached" and waits until it can
 *                           read from FIFO, an absolute path, or until it is cancelled
 * Anything else, and every location when built with -DRIVAL, which also takes the scheme "file", is unavailable.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "imgh.h"

#ifndef RIVAL
#define RIVAL 0
#endif

enum { ROOM = 64, PATH_BYTES = 1024 };

struct imgh_instance {
  const imgh_host *host;
};

static const imgh_host *the_host;

struct edge {
  imgh_source source;
  unsigned char more[ROOM];
  uint64_t size;
  char fifo[PATH_BYTES];
};

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  (void)config;
  the_host = host;
  *out = malloc(sizeof **out);
  if (*out == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  (*out)->host = host;
  return 0;
}

static void destroy(imgh_instance *self) { free(self); }

static imgh_status give(const imgh_sink *sink, uint64_t len, imgh_error *err) {
  while (len > 0) {
    void *buf;
    size_t room;
    imgh_status status = sink->reserve(sink->ctx, len < 65536 ? (size_t)len : 65536, &buf, &room, err);
    if (status != 0) return status;
    memset(buf, 'x', room);
    if ((status = sink->commit(sink->ctx, room, err)) != 0) return status;
    len -= room;
  }
  return 0;
}

static imgh_status wait_at_gate(const char *fifo, imgh_call *call, imgh_error *err) {
  struct pollfd wait[2] = {{-1, POLLIN, 0}, {the_host->cancel_fd(call), POLLIN, 0}};
  /* Open for both, so that there is always a writer and only bytes wake it up. */
  wait[0].fd = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (wait[0].fd < 0) return imgh_fail(err, IMGH_ERR_INVALID, "no-gate", fifo);
  the_host->log(call, IMGH_LOG_ERROR, imgh_text("edges"), imgh_text("gate reached"));
  while (!the_host->is_cancelled(call) && !(wait[0].revents & POLLIN)) poll(wait, 2, 1000);
  close(wait[0].fd);
  if (the_host->is_cancelled(call)) return imgh_fail(err, IMGH_ERR_CANCELLED, "cancelled", "stopped at the gate");
  return 0;
}

static imgh_status read_edge(void *ctx, imgh_call *call, uint64_t offset, uint64_t len, const imgh_sink *sink,
                             imgh_error *err) {
  struct edge *edge = ctx;
  uint64_t half = edge->size / 2, end = offset + len < offset || offset + len > edge->size ? edge->size : offset + len;
  imgh_status status;
  if (offset < half && end > half && edge->fifo[0] != '\0') {
    if ((status = give(sink, half - offset, err)) != 0) return status;
    if ((status = wait_at_gate(edge->fifo, call, err)) != 0) return status;
    offset = half;
  }
  return end > offset ? give(sink, end - offset, err) : 0;
}

static void close_edge(void *ctx) { free(ctx); }

/* Where reading one byte past the end is a fault. */
static void *before_guard_page(const void *from, size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) != 0) abort();
  return memcpy(pages + page - size, from, size);
}

/* What follows edges:// in the request; test URLs have no characters that JSON would escape. */
static int text_of(imgh_str request, char *text, size_t room) {
  static const char before[] = "\"location\":{\"url\":\"edges://";
  const char *begin = memmem(request.ptr, request.len, before, sizeof before - 1), *end;
  if (begin == NULL) return 0;
  begin += sizeof before - 1;
  end = memchr(begin, '"', (size_t)(request.ptr + request.len - begin));
  if (end == NULL || (size_t)(end - begin) >= room) return 0;
  memcpy(text, begin, (size_t)(end - begin));
  text[end - begin] = '\0';
  return 1;
}

static imgh_status open_edge(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_source **out,
                             imgh_error *err) {
  char text[PATH_BYTES];
  struct edge *edge;
  unsigned long long size = 5;
  int known = 0;
  (void)self;
  (void)call;
  if (RIVAL) return imgh_fail(err, IMGH_ERR_UNAVAILABLE, "rival", "this handler never has anything");
  if ((edge = calloc(1, sizeof *edge)) == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  edge->source.struct_size = sizeof edge->source;
  edge->source.ctx = edge;
  edge->source.read = read_edge;
  edge->source.close = close_edge;
  if (text_of(request, text, sizeof text)) {
    if (sscanf(text, "gate/%llu%1000s", &size, edge->fifo) == 2) {
      known = 1;
    } else if (sscanf(text, "fill/%llu", &size) == 1) {
      known = -1;
    } else if (strcmp(text, "long") == 0) {
      known = 1;
      edge->source.struct_size = sizeof edge->source + ROOM;
      memset(edge->more, 0xFF, sizeof edge->more);
    } else if (strcmp(text, "guard") == 0) {
      edge->size = size;
      edge->source.size = (int64_t)size;
      *out = before_guard_page(&edge->source, sizeof edge->source);
      return 0;
    }
  }
  if (known == 0) {
    free(edge);
    return imgh_fail(err, IMGH_ERR_UNAVAILABLE, "no-such-edge", "this handler has no such location");
  }
  edge->size = size;
  edge->source.size = known < 0 ? -1 : (int64_t)size;
  *out = &edge->source;
  return 0;
}

static const imgh_handler handler = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
#if RIVAL
    .info = IMGH_LITERAL("{\"id\":\"rival\",\"kinds\":[\"source\"],\"schemes\":[\"edges\",\"file\"]}"),
#else
    .info = IMGH_LITERAL("{\"id\":\"edges\",\"kinds\":[\"source\"],\"schemes\":[\"edges\"]}"),
#endif
    .create = create,
    .destroy = destroy,
    .open = open_edge,
};

static const imgh_handler *const handlers[] = {&handler};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("edges"),
    .version = IMGH_LITERAL("0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 1,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
