/* A filter that knows nothing of limits: whatever it reads, it gives the letter x without end, or as many of them as its
 * setting `bytes` says. It calls itself a filter of zstd.
 */
#define _GNU_SOURCE
#include "imgh.h"
#include "kit.h"

struct imgh_instance {
  const imgh_host *host;
  uint64_t bytes;
};

struct inflated {
  imgh_source source;
  imgh_instance *instance;
};

static imgh_status give(void *ctx, imgh_call *call, uint64_t offset, uint64_t len, const imgh_sink *sink,
                        imgh_error *err) {
  const struct inflated *inflated = ctx;
  uint64_t left = kit_least(len, inflated->instance->bytes);
  (void)offset;
  while (left > 0) {
    size_t room;
    void *buf;
    imgh_status status;
    if (inflated->instance->host->is_cancelled(call))
      return imgh_fail(err, IMGH_ERR_CANCELLED, "cancelled", "the host wants no more");
    status = sink->reserve(sink->ctx, (size_t)kit_least(left, 1 << 20), &buf, &room, err);
    if (status != 0) return status;
    memset(buf, 'x', room);
    if ((status = sink->commit(sink->ctx, room, err)) != 0) return status;
    left -= room;
  }
  return 0;
}

static void close_inflated(void *ctx) { free(ctx); }

static imgh_status filter(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_input *in,
                          const imgh_source **out, imgh_error *err) {
  struct inflated *inflated = calloc(1, sizeof *inflated);
  (void)call, (void)request, (void)in;
  if (inflated == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for a source");
  inflated->instance = self;
  inflated->source.struct_size = sizeof inflated->source;
  inflated->source.ctx = inflated;
  inflated->source.size = -1;
  inflated->source.read = give;
  inflated->source.close = close_inflated;
  *out = &inflated->source;
  return 0;
}

static void destroy(imgh_instance *self) { free(self); }

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  const struct kit_json bytes = kit_member(kit_json(config), "bytes");
  imgh_instance *self = malloc(sizeof *self);
  if (self == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  self->host = host;
  self->bytes = bytes.at == NULL ? UINT64_MAX : strtoull(bytes.at, NULL, 10);
  *out = self;
  return 0;
}

static const imgh_handler handler = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"endless\",\"kinds\":[\"filter\"],\"formats\":[\"zstd\"]}"),
    .create = create,
    .destroy = destroy,
    .filter = filter,
};

static const imgh_handler *const handlers[] = {&handler};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("endless"),
    .version = IMGH_LITERAL("0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 1,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
