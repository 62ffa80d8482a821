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

/* ---- As much JSON as this handler needs; one that looks at more of a request takes a library ---- */

static const char *skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
  return at;
}

/* Behind the string that begins at `at`. */
static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end && *at != '"'; at++)
    if (*at == '\\' && at + 1 < end) at++;
  return at < end ? at + 1 : end;
}

/* At the comma or bracket behind the value that begins at `at`. */
static const char *skip_value(const char *at, const char *end) {
  int depth = 0;
  while (at < end) {
    if (depth == 0 && (*at == ',' || *at == '}' || *at == ']')) return at;
    if (*at == '{' || *at == '[') depth++;
    if (*at == '}' || *at == ']') depth--;
    at = *at == '"' ? skip_string(at, end) : at + 1;
  }
  return end;
}

/* The value of a member of the object that begins at `at`, or NULL. */
static const char *member(const char *at, const char *end, const char *name) {
  const size_t len = strlen(name);
  if (at == NULL || (at = skip_space(at, end)) == end || *at != '{') return NULL;
  at = skip_space(at + 1, end);
  while (at < end && *at == '"') {
    const char *key = at + 1;
    int found;
    at = skip_string(at, end);
    found = (size_t)(at - key) == len + 1 && memcmp(key, name, len) == 0;
    at = skip_space(at, end);
    if (at < end) at = skip_space(at + 1, end); /* the colon */
    if (found) return at;
    at = skip_value(at, end);
    if (at < end && *at == ',') at = skip_space(at + 1, end);
  }
  return NULL;
}

static unsigned long hex4(const char *at) {
  char digits[5] = {0};
  memcpy(digits, at, 4);
  return strtoul(digits, NULL, 16);
}

/* Puts the string that begins at `at` into `text`, which has room for as many bytes as are left; gives its length. */
static size_t decode(const char *at, const char *end, char *text) {
  static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  size_t len = 0;
  for (at++; at < end && *at != '"'; at++) {
    const char *name;
    unsigned long code;
    if (*at != '\\' || at + 1 >= end) {
      text[len++] = *at;
      continue;
    }
    at++;
    if (*at != 'u' && (name = memchr(names, *at, sizeof names - 1)) != NULL) text[len++] = meant[name - names];
    if (*at != 'u' || end - at < 5) continue;
    code = hex4(at + 1);
    at += 4;
    if (code >= 0xD800 && code < 0xDC00 && end - at > 6 && at[1] == '\\' && at[2] == 'u') { /* half of a pair */
      code = 0x10000 + ((code - 0xD800) << 10) + (hex4(at + 3) - 0xDC00);
      at += 6;
    }
    if (code >= 0x10000) text[len++] = (char)(0xF0 | code >> 18);
    if (code >= 0x10000) text[len++] = (char)(0x80 | (code >> 12 & 0x3F));
    else if (code >= 0x800) text[len++] = (char)(0xE0 | code >> 12);
    if (code >= 0x800) text[len++] = (char)(0x80 | (code >> 6 & 0x3F));
    else if (code >= 0x80) text[len++] = (char)(0xC0 | code >> 6);
    text[len++] = (char)(code >= 0x80 ? 0x80 | (code & 0x3F) : code);
  }
  return len;
}

/* ---- */

static imgh_status hello_open(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_source **out,
                              imgh_error *err) {
  const char *end = request.ptr + request.len;
  const char *url = member(member(request.ptr, end, "location"), end, "url");
  struct hello *hello;
  size_t at = 0;
  (void)self;
  (void)call;
  if (url == NULL || url == end || *url != '"')
    return imgh_fail(err, IMGH_ERR_INVALID, "no-location", "the request has no location");
  hello = calloc(1, sizeof *hello + (size_t)(end - url));
  if (hello == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for a source");
  hello->len = decode(url, end, hello->text);
  /* The text is what follows hello-c://; the host asks only for locations of our schemes. */
  while (at + 3 <= hello->len && memcmp(hello->text + at, "://", 3) != 0) at++;
  if (at + 3 > hello->len) {
    free(hello);
    return imgh_fail(err, IMGH_ERR_INVALID, "no-text", "the location is no hello-c://TEXT");
  }
  hello->len -= at + 3;
  memmove(hello->text, hello->text + at + 3, hello->len);
  hello->source.struct_size = sizeof hello->source;
  hello->source.ctx = hello;
  hello->source.size = (int64_t)hello->len;
  hello->source.flags = IMGH_SOURCE_RANGED;
  hello->source.read = hello_read;
  hello->source.close = hello_close;
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
