/* Serves hello-c://TEXT: a location whose bytes are its own text. An image handler in C, without anything but imgh.h.
 *
 *   cc -std=c11 -Wall -Wextra -O2 -fPIC -fvisibility=hidden -shared -I../../handler-api/include -o hello_c.so hello.c
 */
#include <stdlib.h>
#include <string.h>

#include "imgh.h"

struct imgh_instance {
  const imgh_host *host;
};

/* What open makes and close frees: the source, and the text that it streams. */
struct hello {
  imgh_source source;
  size_t len;
  char text[];
};

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  /* There is nothing to configure: whoever writes something here would be surprised to see it ignored. */
  if (config.len != 2 || memcmp(config.ptr, "{}", 2) != 0)
    return imgh_fail(err, IMGH_ERR_INVALID, "bad-config", "hello-c has no configuration");
  *out = malloc(sizeof **out);
  if (*out == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for an instance");
  (*out)->host = host;
  return 0;
}

static void destroy(imgh_instance *self) { free(self); }

static imgh_status probe(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err) {
  (void)request; /* the host asks only for locations of our schemes */
  return self->host->result(call, imgh_text("{\"accepts\":true}"), err);
}

static imgh_status hello_read(void *ctx, imgh_call *call, uint64_t offset, uint64_t len, const imgh_sink *sink,
                              imgh_error *err) {
  struct hello *hello = ctx;
  (void)call; /* a source that waits for something asks is_cancelled while it does */
  while (len > 0 && offset < hello->len) {
    size_t want = hello->len - (size_t)offset, room;
    void *buf;
    imgh_status status;
    if (want > len) want = (size_t)len;
    if ((status = sink->reserve(sink->ctx, want, &buf, &room, err)) != 0) return status;
    memcpy(buf, hello->text + offset, room);
    if ((status = sink->commit(sink->ctx, room, err)) != 0) return status;
    offset += room;
    len -= room;
  }
  return 0;
}

static void hello_close(void *ctx) { free(ctx); }

/* The text of the request's location. A handler that looks at more of the request takes a JSON library. */
static imgh_str text_of(imgh_str request) {
  static const char before[] = "\"location\":{\"url\":\"hello-c://";
  const size_t skip = sizeof before - 1;
  imgh_str text = {NULL, 0};
  size_t at;
  for (at = 0; at + skip <= request.len; at++) {
    if (memcmp(request.ptr + at, before, skip) == 0) {
      text.ptr = request.ptr + at + skip;
      while (at + skip + text.len < request.len && text.ptr[text.len] != '"') text.len++;
      break;
    }
  }
  return text;
}

static imgh_status hello_open(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_source **out,
                              imgh_error *err) {
  imgh_str text = text_of(request);
  struct hello *hello;
  (void)self;
  (void)call;
  if (text.ptr == NULL || memchr(text.ptr, '\\', text.len) != NULL)
    return imgh_fail(err, IMGH_ERR_INVALID, "no-text", "there is no plain hello-c://TEXT in the request");
  hello = calloc(1, sizeof *hello + text.len);
  if (hello == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for a source");
  hello->source.struct_size = sizeof hello->source;
  hello->source.ctx = hello;
  hello->source.size = (int64_t)text.len;
  hello->source.flags = IMGH_SOURCE_RANGED;
  hello->source.fd = -1;
  hello->source.read = hello_read;
  hello->source.close = hello_close;
  hello->len = text.len;
  memcpy(hello->text, text.ptr, text.len);
  *out = &hello->source;
  return 0;
}

static const imgh_handler handler = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"hello-c\",\"kinds\":[\"source\"],\"schemes\":[\"hello-c\"]}"),
    .create = create,
    .destroy = destroy,
    .probe = probe,
    .open = hello_open,
};

static const imgh_handler *const handlers[] = {&handler};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("hello-c"),
    .version = IMGH_LITERAL("0.1.0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 1,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
