/* Unpacks the images of villain.c as that should, whatever their deed: the next one to try after "villain-unpack".
 *
 *   format "villainous"    handler "honest-unpack"
 *
 * The image property deed is "DEED/SIZE/...", in `image` or `image.properties`. The disk has SIZE bytes, the content of
 * seeded.c with SEED 1.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imgh.h"
#include "kit.h"

enum { CHUNK = 65536 };

struct imgh_instance {
  const imgh_host *host;
};

static int size_of(imgh_str request, uint64_t *size) {
  const struct kit_json image = kit_member(kit_json(request), "image");
  struct kit_url url;
  if (!kit_string(kit_member(image, "deed"), url.text, sizeof url.text) &&
      !kit_string(kit_member(kit_member(image, "properties"), "deed"), url.text, sizeof url.text))
    return 0;
  kit_split(&url);
  return url.segments >= 2 && kit_number(url.segment[1], size);
}

static imgh_status unpack(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_input *in,
                          imgh_error *err) {
  char chunk[CHUNK];
  const imgh_output *output;
  uint64_t size, offset = 0;
  size_t got = 1;
  imgh_status status = 0;
  if (!size_of(request, &size)) return imgh_fail(err, IMGH_ERR_INVALID, "no-deed", "the image has no DEED/SIZE");
  /* The input is only there to be read. */
  for (; status == 0 && got > 0; offset += got) {
    got = 0;
    status = in->read_at(in->ctx, chunk, sizeof chunk, offset, &got, err);
  }
  if (status == 0) status = self->host->open_output(call, 0, size, imgh_text(""), &output, err);
  for (offset = 0; status == 0 && offset < size; offset += got) {
    got = (size_t)kit_least(size - offset, CHUNK);
    kit_fill(chunk, got, offset, 1);
    status = output->write_at(output->ctx, chunk, got, offset, err);
  }
  return status == 0 ? output->finish(output->ctx, err) : status;
}

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  (void)config;
  if ((*out = malloc(sizeof **out)) == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  (*out)->host = host;
  return 0;
}

static void destroy(imgh_instance *self) { free(self); }

static const imgh_handler handler = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"honest-unpack\",\"kinds\":[\"unpack\"],\"formats\":[\"villainous\"]}"),
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
    .name = IMGH_LITERAL("honest"),
    .version = IMGH_LITERAL("0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 1,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
