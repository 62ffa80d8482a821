/* Two handlers that do as the location's URL says, well or badly.
 *
 *   fault-source://VERB/ARGUMENTS      handler "fault-source", kind source
 *   fault-transfer://VERB/ARGUMENTS    handler "fault-transfer", kind transfer
 *
 * Verbs of both:
 *   error/KIND/SCOPE/CODE   fail: KIND and SCOPE are numbers, CODE is the code
 *   bare-error/KIND         fail with that number and an error that was not filled in
 *   unterminated/KIND       fail with a code and a message that fill their fields without a NUL, and are no UTF-8
 *   wedge                   never return
 *   slow                    wait for the cancellation, then return cancelled
 *   log                     log lines with control characters, without a call and at levels that do not exist, then fail
 * Verbs of the source:
 *   text/TEXT               serve TEXT
 *   stream/TEXT             the same, not ranged, of unknown size, one byte for each reservation
 *   fd/TEXT                 the same, from a descriptor
 *   size/N/TEXT             serve TEXT and say that its size is N
 *   more/N/TEXT             serve TEXT and N bytes of x after it, whatever the range
 *   read-error/KIND/SCOPE/CODE, read-wedge/TEXT, close-wedge/TEXT: open well, then fail or hang
 *   over-commit/TEXT        commit more than was reserved
 *   output                  open an output, and return what the host said
 *   bad-fd, standard-fd/FD, no-read, no-source, short-source, bad-size, bad-validator: open gives nonsense
 * Verbs of the transfer; the content of SIZE bytes is 'a' + offset % 23, but zeros from 64 KiB to 128 KiB:
 *   whole/SIZE              write with write_at, zero and adopt_fd, out of order, over set_size, and finish
 *   twice/SIZE              the first call in this process writes garbage and fails as unavailable, later ones are whole
 *   beyond/SIZE             write a byte beyond the end, and return what the host said
 *   beyond-ignored/SIZE     the same, but finish and return 0
 *   unfinished/SIZE         whole, without finish
 *   after-finish/SIZE       whole, then write once more and return what the host said
 *   no-output               return 0 at once
 *   reopen/SIZE             open output 0 twice, and return what the host said
 *   huge                    set_size to 2^62, and return what the host said
 *   late/SIZE/SECONDS       whole, wait for the cancellation, wait SECONDS more, then write garbage and log what came of it
 *   nulls                   pass NULL wherever a pointer is wanted
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "imgh.h"

enum { BLOCK = 65536, ARGS = 4, ARG = 1024 };

struct imgh_instance {
  const imgh_host *host;
};

/* The URL after "://", split at its slashes. The last argument is all of the rest. */
struct order {
  char verb[64];
  char arg[ARGS][ARG];
};

static int is(const struct order *order, const char *verb) { return strcmp(order->verb, verb) == 0; }

static unsigned long long number(const char *text) { return strtoull(text, NULL, 10); }

/* Test URLs have no characters that JSON would escape. */
static struct order order_of(imgh_str request) {
  static const char before[] = "\"location\":{\"url\":\"";
  struct order order = {{0}, {{0}}};
  char url[ARG * ARGS] = {0};
  const char *begin = memmem(request.ptr, request.len, before, sizeof before - 1);
  if (begin != NULL) {
    const char *end;
    begin += sizeof before - 1;
    end = memchr(begin, '"', (size_t)(request.ptr + request.len - begin));
    if (end != NULL && (size_t)(end - begin) < sizeof url) memcpy(url, begin, (size_t)(end - begin));
  }
  {
    char *rest = strstr(url, "://");
    int at;
    rest = rest == NULL ? url : rest + 3;
    for (at = -1; at < ARGS && rest != NULL; at++) {
      char *slash = at == ARGS - 1 ? NULL : strchr(rest, '/');
      char *into = at < 0 ? order.verb : order.arg[at];
      size_t len, most = (at < 0 ? sizeof order.verb : (size_t)ARG) - 1;
      if (slash != NULL) *slash = '\0';
      len = strlen(rest);
      memcpy(into, rest, len < most ? len : most);
      rest = slash == NULL ? NULL : slash + 1;
    }
  }
  return order;
}

static imgh_status fail_as(imgh_error *err, const char *kind, const char *scope, const char *code) {
  char message[128];
  snprintf(message, sizeof message, "the URL asked for kind %s, scope %s, code %s", kind, scope, code);
  return imgh_fail_scoped(err, (imgh_status)number(kind), (uint32_t)number(scope), code, message);
}

static void wait_for_cancel(const imgh_host *host, imgh_call *call) {
  struct pollfd cancelled = {host->cancel_fd(call), POLLIN, 0};
  while (!host->is_cancelled(call)) poll(&cancelled, 1, 1000);
}

static void wedge(void) {
  for (;;) pause();
}

/* The verbs that both kinds have; -1 when it is another. */
static long long both(const imgh_host *host, imgh_call *call, const struct order *order, imgh_error *err) {
  if (is(order, "error")) return fail_as(err, order->arg[0], order->arg[1], order->arg[2]);
  if (is(order, "bare-error")) return (long long)number(order->arg[0]);
  if (is(order, "unterminated")) {
    memset(err->code, 'X', sizeof err->code);
    memset(err->message, 0xFE, sizeof err->message);
    return (long long)number(order->arg[0]);
  }
  if (is(order, "wedge")) wedge();
  if (is(order, "slow")) {
    wait_for_cancel(host, call);
    return imgh_fail(err, IMGH_ERR_CANCELLED, "cancelled", "stopped as asked");
  }
  if (is(order, "log")) {
    static const imgh_str null_text = {NULL, 7};
    host->log(call, IMGH_LOG_ERROR, imgh_text("faults"), imgh_text("a line\n\033[31mwith more than a line"));
    host->log(NULL, IMGH_LOG_ERROR, imgh_text(""), imgh_text("a line of no call"));
    host->log(call, 0, imgh_text(""), imgh_text("level 0"));
    host->log(call, 4000000000u, imgh_text(""), imgh_text("level 4000000000"));
    host->log(call, IMGH_LOG_ERROR, null_text, null_text);
    host->progress(NULL, 1, 2);
    host->progress(call, 1, -9);
    return imgh_fail(err, IMGH_ERR_UNAVAILABLE, "logged", "logged what there was");
  }
  return -1;
}

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  (void)config;
  *out = malloc(sizeof **out);
  if (*out == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  (*out)->host = host;
  return 0;
}

static void destroy(imgh_instance *self) { free(self); }

/* ---- source ---- */

struct opened {
  imgh_source source;
  struct order order;
  const char *text;
  size_t len;
};

static imgh_status give(const imgh_sink *sink, const char *bytes, size_t len, size_t step, imgh_error *err) {
  while (len > 0) {
    void *buf;
    size_t room;
    imgh_status status = sink->reserve(sink->ctx, len < step ? len : step, &buf, &room, err);
    if (status != 0) return status;
    memcpy(buf, bytes, room);
    if ((status = sink->commit(sink->ctx, room, err)) != 0) return status;
    bytes += room;
    len -= room;
  }
  return 0;
}

static imgh_status read_fault(void *ctx, imgh_call *call, uint64_t offset, uint64_t len, const imgh_sink *sink,
                              imgh_error *err) {
  struct opened *opened = ctx;
  const struct order *order = &opened->order;
  size_t left = offset < opened->len ? opened->len - (size_t)offset : 0;
  imgh_status status;
  (void)call;
  if (is(order, "read-error")) return fail_as(err, order->arg[0], order->arg[1], order->arg[2]);
  if (is(order, "read-wedge")) wedge();
  if (is(order, "over-commit")) {
    void *buf;
    size_t room;
    if ((status = sink->reserve(sink->ctx, 1, &buf, &room, err)) != 0) return status;
    return sink->commit(sink->ctx, room + 1, err);
  }
  if (left > len) left = (size_t)len;
  status = give(sink, opened->text + offset, left, is(order, "stream") ? 1 : SIZE_MAX, err);
  if (status == 0 && is(order, "more")) {
    unsigned long long more;
    for (more = number(order->arg[0]); more > 0 && status == 0; more--) status = give(sink, "x", 1, 1, err);
  }
  return status;
}

static void close_fault(void *ctx) {
  struct opened *opened = ctx;
  if (is(&opened->order, "close-wedge")) wedge();
  if (is(&opened->order, "fd")) close(opened->source.fd);
  free(opened);
}

static imgh_status open_fault(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_source **out,
                              imgh_error *err) {
  static const imgh_str bad_text = IMGH_LITERAL("\xff\xfe");
  struct order order = order_of(request);
  long long done = both(self->host, call, &order, err);
  struct opened *opened;
  if (done >= 0) return (imgh_status)done;
  if (is(&order, "no-source")) return 0;
  if (is(&order, "output")) {
    const imgh_output *output;
    return self->host->open_output(call, 0, 1, imgh_text(""), &output, err);
  }
  opened = calloc(1, sizeof *opened);
  if (opened == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  opened->order = order;
  opened->text = is(&order, "size") || is(&order, "more") ? opened->order.arg[1] : opened->order.arg[0];
  opened->len = strlen(opened->text);
  opened->source.struct_size = is(&order, "short-source") ? 24 : sizeof opened->source;
  opened->source.ctx = opened;
  opened->source.size = is(&order, "size")       ? (int64_t)number(order.arg[0])
                        : is(&order, "bad-size") ? -2
                        : is(&order, "stream")   ? -1
                                                 : (int64_t)opened->len;
  opened->source.flags = is(&order, "stream") ? 0 : IMGH_SOURCE_RANGED;
  if (is(&order, "bad-fd") || is(&order, "standard-fd")) {
    opened->source.flags |= IMGH_SOURCE_FD;
    opened->source.fd = is(&order, "bad-fd") ? 9999 : atoi(order.arg[0]);
  }
  if (is(&order, "bad-validator")) opened->source.validator = bad_text;
  if (is(&order, "fd")) {
    opened->source.flags |= IMGH_SOURCE_FD;
    opened->source.fd = memfd_create("fault", MFD_CLOEXEC);
    if (write(opened->source.fd, opened->text, opened->len) != (ssize_t)opened->len) abort();
  }
  if (!is(&order, "no-read")) opened->source.read = read_fault;
  opened->source.close = close_fault;
  *out = &opened->source;
  return 0;
}

/* ---- transfer ---- */

static void fill(char *bytes, size_t len, uint64_t offset) {
  size_t at;
  for (at = 0; at < len; at++) bytes[at] = (char)('a' + (offset + at) % 23);
}

#define TRY(action)                     \
  do {                                  \
    imgh_status status_ = (action);     \
    if (status_ != 0) return status_;   \
  } while (0)

static imgh_status whole(const imgh_output *output, uint64_t size, imgh_error *err) {
  static _Thread_local char block[BLOCK];
  uint64_t at;
  TRY(output->set_size(output->ctx, size, err));
  /* Backwards, so that nobody relies on an order; the last block comes from a descriptor. */
  for (at = (size + BLOCK - 1) / BLOCK; at-- > 0;) {
    uint64_t offset = at * BLOCK;
    size_t len = size - offset < BLOCK ? (size_t)(size - offset) : BLOCK;
    fill(block, len, offset);
    if (at == 1) {
      TRY(output->zero(output->ctx, offset, len, err));
    } else if (offset + len == size) {
      int fd = memfd_create("last", MFD_CLOEXEC);
      imgh_status status;
      if (pwrite(fd, block, len, 4096) != (ssize_t)len) abort();
      status = output->adopt_fd(output->ctx, fd, 4096, offset, len, err);
      close(fd);
      if (status != 0) return status;
    } else {
      TRY(output->write_at(output->ctx, block, len, offset, err));
    }
  }
  return 0;
}

static imgh_status nulls(const imgh_host *host, imgh_call *call, const imgh_output *output, imgh_error *err) {
  static const imgh_str null_text = {NULL, 9};
  unsigned wrong = 0;
  size_t len;
  wrong += output->write_at(output->ctx, NULL, 5, 0, NULL) == 0;
  wrong += output->write_at(NULL, "x", 1, 0, NULL) == 0;
  wrong += output->write_at(output->ctx, "x", 1, UINT64_MAX, NULL) == 0;
  wrong += output->zero(output->ctx, UINT64_MAX, UINT64_MAX, NULL) == 0;
  wrong += output->adopt_fd(output->ctx, -1, 0, 0, 1, NULL) == 0;
  wrong += output->finish(NULL, NULL) == 0;
  wrong += host->open_output(NULL, 1, 1, imgh_text(""), &output, NULL) == 0;
  wrong += host->open_output(call, 1, 1, imgh_text(""), NULL, NULL) == 0;
  wrong += host->open_output(call, 1, 1, imgh_text("[]"), &output, NULL) == 0;
  wrong += host->open_output(call, 1, 1, null_text, &output, NULL) == 0;
  wrong += host->secret(call, null_text, NULL, 0, &len, NULL) == 0;
  wrong += host->secret(call, imgh_text("none"), NULL, 0, NULL, NULL) == 0;
  wrong += host->secret(NULL, imgh_text("none"), NULL, 0, &len, NULL) == 0;
  wrong += host->result(NULL, imgh_text("{}"), NULL) == 0;
  wrong += host->result(call, null_text, NULL) == 0;
  wrong += host->is_cancelled(NULL) == 0;
  wrong += host->cancel_fd(NULL) != -1;
  wrong += host->get_extension(null_text) != NULL;
  if (wrong != 0) return imgh_fail(err, IMGH_ERR_INTERNAL, "null-accepted", "the host took what it must not take");
  return imgh_fail(err, IMGH_ERR_UNAVAILABLE, "nulls-refused", "everything was refused");
}

static imgh_status transfer_fault(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err) {
  static atomic_int calls;
  const imgh_host *host = self->host;
  struct order order = order_of(request);
  long long done = both(host, call, &order, err);
  const imgh_output *output = NULL;
  uint64_t size = number(order.arg[0]);
  if (done >= 0) return (imgh_status)done;
  if (is(&order, "no-output")) return 0;
  /* The size comes with set_size. */
  TRY(host->open_output(call, 0, 1, imgh_text("{\"name\":\"disk\"}"), &output, err));
  if (is(&order, "nulls")) return nulls(host, call, output, err);
  if (is(&order, "reopen")) return host->open_output(call, 0, size, imgh_text(""), &output, err);
  if (is(&order, "huge")) return output->set_size(output->ctx, (uint64_t)1 << 62, err);
  if (is(&order, "twice") && atomic_fetch_add(&calls, 1) == 0) {
    char garbage[4096];
    memset(garbage, '!', sizeof garbage);
    TRY(output->set_size(output->ctx, size + sizeof garbage, err));
    TRY(output->write_at(output->ctx, garbage, sizeof garbage, size, err));
    TRY(output->write_at(output->ctx, garbage, sizeof garbage, 0, err));
    return imgh_fail(err, IMGH_ERR_UNAVAILABLE, "first-try", "the first try never works");
  }
  TRY(whole(output, size, err));
  if (is(&order, "beyond")) return output->write_at(output->ctx, "x", 1, size, err);
  if (is(&order, "beyond-ignored")) (void)output->write_at(output->ctx, "x", 1, size, NULL);
  if (is(&order, "unfinished")) return 0;
  if (is(&order, "late")) {
    char line[64];
    imgh_status status;
    wait_for_cancel(host, call);
    sleep((unsigned)number(order.arg[1]));
    status = output->write_at(output->ctx, "!!!!", 4, 0, err);
    snprintf(line, sizeof line, "late write: %u", (unsigned)status);
    host->log(call, IMGH_LOG_ERROR, imgh_text(""), imgh_text(line));
    return 0;
  }
  TRY(output->finish(output->ctx, err));
  if (is(&order, "after-finish")) return output->write_at(output->ctx, "x", 1, 0, err);
  return 0;
}

static const imgh_handler source_handler = {
    .struct_size = sizeof(imgh_handler),
#ifdef SERIAL
    .thread_model = IMGH_SERIAL,
#else
    .thread_model = IMGH_PARALLEL,
#endif
    .info = IMGH_LITERAL("{\"id\":\"fault-source\",\"kinds\":[\"source\"],\"schemes\":[\"fault-source\"]}"),
    .create = create,
    .destroy = destroy,
    .open = open_fault,
};

static const imgh_handler transfer_handler = {
    .struct_size = sizeof(imgh_handler),
    .thread_model = IMGH_PARALLEL,
    .info = IMGH_LITERAL("{\"id\":\"fault-transfer\",\"kinds\":[\"transfer\"],\"schemes\":[\"fault-transfer\"]}"),
    .create = create,
    .destroy = destroy,
    .transfer = transfer_fault,
};

static const imgh_handler *const handlers[] = {&source_handler, &transfer_handler};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("faults"),
    .version = IMGH_LITERAL("0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 2,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
