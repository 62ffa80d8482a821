/* A filter and an unpacker of one form, honest but for the fault that FAULT names at compile time. The form, "tagged":
 * `TAG0`, the number of bytes as 64 bits, least significant first, and these bytes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "imgh.h"
#include "kit.h"

/* The faults. */
enum {
  NONE,
  CRASHES_ON_NONSENSE,
  TAKES_A_CUT_FOR_THE_WHOLE,
  LOSES_THE_LAST_BYTE_OF_A_STREAM,
  GIVES_OTHER_BYTES,
  CALLS_A_FULL_SINK_THE_END,
  HEARS_NO_CANCEL,
  LEAKS_A_DESCRIPTOR,
  SWALLOWS_FAILED_WRITES,
  LEAVES_OUTPUTS_UNFINISHED,
  FAULTS
};

#ifndef FAULT
#define FAULT NONE
#endif

enum { HEAD = 12, PIECE = 64 << 10 };

struct imgh_instance {
  const imgh_host *host;
};

struct tagged {
  imgh_source source;
  const imgh_host *host;
  const imgh_input *in;
};

/* The number of bytes behind the head. */
static imgh_status head(const imgh_input *in, uint64_t *len, imgh_error *err) {
  unsigned char bytes[HEAD];
  size_t got;
  imgh_status status = in->read_at(in->ctx, bytes, HEAD, 0, &got, err);
  if (status != 0) return status;
  if (got < HEAD || memcmp(bytes, "TAG0", 4) != 0) {
    if (FAULT == CRASHES_ON_NONSENSE && got == HEAD) abort();
    return imgh_fail(err, IMGH_ERR_CORRUPT, "no-tag", "this is not tagged");
  }
  memcpy(len, bytes + 4, sizeof *len);
  *len = le64toh(*len);
  if (FAULT == LEAKS_A_DESCRIPTOR && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
    return imgh_fail(err, IMGH_ERR_INTERNAL, "no-descriptor", "nothing is left to be leaked");
  return 0;
}

/* Some bytes from `at` on. One piece less at the end of a cut form is an error. */
static imgh_status piece(const struct tagged *from, imgh_call *call, uint64_t at, uint64_t len, unsigned char *bytes,
                         size_t *got, imgh_error *err) {
  const size_t want = (size_t)kit_least(len - at, *got);
  imgh_status status;
  if (from->host->is_cancelled(call)) {
    while (FAULT == HEARS_NO_CANCEL) pause();
    return imgh_fail(err, IMGH_ERR_CANCELLED, "cancelled", "the host wants no more");
  }
  status = from->in->read_at(from->in->ctx, bytes, want, HEAD + at, got, err);
  if (status == 0 && *got < want && FAULT != TAKES_A_CUT_FOR_THE_WHOLE)
    return imgh_fail(err, IMGH_ERR_CORRUPT, "cut", "there are fewer bytes than the tag says");
  if (status == 0 && at == 0 && FAULT == GIVES_OTHER_BYTES) bytes[0] ^= 1;
  return status;
}

static int is_stream(const imgh_input *in) { return (in->flags & IMGH_INPUT_RANGED) == 0; }

static imgh_status give(void *ctx, imgh_call *call, uint64_t offset, uint64_t most, const imgh_sink *sink,
                        imgh_error *err) {
  const struct tagged *tagged = ctx;
  uint64_t len, at = 0;
  imgh_status status = head(tagged->in, &len, err);
  (void)offset, (void)most;
  if (status == 0 && FAULT == LOSES_THE_LAST_BYTE_OF_A_STREAM && is_stream(tagged->in) && len > 0) len--;
  while (status == 0 && at < len) {
    size_t got;
    void *bytes;
    status = sink->reserve(sink->ctx, (size_t)kit_least(len - at, PIECE), &bytes, &got, err);
    if (status != 0 && FAULT == CALLS_A_FULL_SINK_THE_END) return 0;
    while (status == IMGH_ERR_CANCELLED && FAULT == HEARS_NO_CANCEL) pause();
    if (status == 0) status = piece(tagged, call, at, len, bytes, &got, err);
    if (status == 0) status = sink->commit(sink->ctx, got, err);
    if (got == 0) break;
    at += got;
  }
  return status;
}

static void close_tagged(void *ctx) { free(ctx); }

static imgh_status filter(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_input *in,
                          const imgh_source **out, imgh_error *err) {
  struct tagged *tagged = calloc(1, sizeof *tagged);
  (void)call, (void)request;
  if (tagged == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for a source");
  tagged->host = self->host;
  tagged->in = in;
  tagged->source.struct_size = sizeof tagged->source;
  tagged->source.ctx = tagged;
  tagged->source.size = -1;
  tagged->source.read = give;
  tagged->source.close = close_tagged;
  *out = &tagged->source;
  return 0;
}

static imgh_status unpack(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_input *in,
                          imgh_error *err) {
  static _Thread_local unsigned char bytes[PIECE];
  const struct tagged from = {.host = self->host, .in = in};
  const imgh_output *output;
  uint64_t len, at = 0;
  imgh_status status = head(in, &len, err);
  (void)request;
  if (status == 0) status = self->host->open_output(call, 0, len, imgh_text(""), &output, err);
  if (status == 0 && FAULT == LOSES_THE_LAST_BYTE_OF_A_STREAM && is_stream(in) && len > 0) len--;
  while (status == 0 && at < len) {
    size_t got = sizeof bytes;
    status = piece(&from, call, at, len, bytes, &got, err);
    if (status == 0) status = output->write_at(output->ctx, bytes, got, at, err);
    if (FAULT == SWALLOWS_FAILED_WRITES && status == IMGH_ERR_NO_SPACE) status = 0;
    if (got == 0) break;
    at += got;
  }
  if (status != 0 || FAULT == LEAVES_OUTPUTS_UNFINISHED) return status;
  return output->finish(output->ctx, err);
}

static void destroy(imgh_instance *self) { free(self); }

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  static const char *const keys[] = {NULL};
  if (!kit_only(kit_json(config), keys)) return imgh_fail(err, IMGH_ERR_INVALID, "unknown-key", "there are no settings");
  *out = malloc(sizeof **out);
  if (*out == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  (*out)->host = host;
  return 0;
}

static const imgh_handler filters = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"careless-filter\",\"kinds\":[\"filter\"],\"formats\":[\"tagged\"]}"),
    .create = create,
    .destroy = destroy,
    .filter = filter,
};

static const imgh_handler unpacks = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"careless-disk\",\"kinds\":[\"unpack\"],\"formats\":[\"tagged\"]}"),
    .create = create,
    .destroy = destroy,
    .unpack = unpack,
};

static const imgh_handler *const handlers[] = {&filters, &unpacks};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("careless"),
    .version = IMGH_LITERAL("0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 2,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
