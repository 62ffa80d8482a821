/* A plugin whose table is wrong in one way, or right in an unusual one. Compiled once for each case, with -DCASE=NAME;
 * with -DWITHOUT_ENTRY it exports another symbol than the entry.
 *
 * Handler "table" of kind source, scheme "table": where the plugin loads at all, it serves the bytes "table".
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "imgh.h"

enum {
  PLAIN,
  /* Loaded: what is missing at the end reads as zero, what is more is not looked at. */
  SHORT, LONG, GUARD_PAGE, LOW_FLAG, NOISY_CONSTRUCTOR,
  /* Refused at the handshake. */
  TOO_SHORT, ODD_SIZE, OTHER_MINOR, OTHER_MAJOR, BAD_MAGIC, HIGH_FLAG, NULL_TABLE, NULL_HANDLERS, NULL_HANDLER,
  MANY_HANDLERS, NULL_INFO, INFO_NOT_JSON, INFO_NOT_UTF8, BAD_ID, NO_FUNCTION, BAD_NAME, BAD_THREADS, TWICE,
  PANIC_ABORTS, WORKER_ONLY,
  /* Refused by the scan. */
  ABORT_IN_CONSTRUCTOR, EXIT_IN_CONSTRUCTOR, HANG_IN_CONSTRUCTOR, CRASH_IN_ENTRY, CRASH_IN_CREATE, CRASH_IN_DESTROY,
  /* Refused when the handler is made. */
  CREATE_FAILS, CREATE_LIES,
  /* Loaded, and found by `landfall handlers check`. */
  CRASH_IN_DESTROY_NULL, PRINTS, LEAKS,
  /* Deletes what it serves; says so, and does not; says that it could, and has no function, which is refused. */
  DELETES, DELETES_NOTHING, DELETES_WITHOUT
};
#ifndef CASE
#define CASE PLAIN
#endif

static imgh_status create(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) {
  (void)host;
  (void)config;
  if (CASE == CRASH_IN_CREATE) abort();
  if (CASE == PRINTS) printf("a line in the middle of the answer\n");
  if (CASE == LEAKS && dup(STDERR_FILENO) < 0) abort();
  if (CASE == CREATE_FAILS) return imgh_fail(err, IMGH_ERR_INVALID, "bad-config", "this handler takes nothing");
  if (CASE != CREATE_LIES) *out = calloc(1, 1);
  return 0;
}

static void destroy(imgh_instance *self) {
  if (CASE == (self == NULL ? CRASH_IN_DESTROY_NULL : CRASH_IN_DESTROY)) abort();
  free(self);
}

static imgh_status read_table(void *ctx, imgh_call *call, uint64_t offset, uint64_t len, const imgh_sink *sink,
                              imgh_error *err) {
  static const char text[] = "table";
  (void)ctx;
  (void)call;
  while (len > 0 && offset < sizeof text - 1) {
    void *buf;
    size_t room, want = sizeof text - 1 - (size_t)offset;
    imgh_status status = sink->reserve(sink->ctx, want < len ? want : (size_t)len, &buf, &room, err);
    if (status != 0) return status;
    memcpy(buf, text + offset, room);
    if ((status = sink->commit(sink->ctx, room, err)) != 0) return status;
    offset += room;
    len -= room;
  }
  return 0;
}

static void close_table(void *ctx) { (void)ctx; }

static const imgh_source source = {
    .struct_size = sizeof(imgh_source), .size = 5, .read = read_table, .close = close_table};

static int is_gone;

static imgh_status not_there(imgh_error *err) { return imgh_fail(err, IMGH_ERR_NOT_FOUND, "gone", "it was deleted"); }

static imgh_status delete_table(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err) {
  (void)self;
  (void)call;
  (void)request;
  if (is_gone) return not_there(err);
  is_gone = CASE == DELETES;
  return 0;
}

static imgh_status open_table(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_source **out,
                              imgh_error *err) {
  (void)self;
  (void)call;
  (void)request;
  if (is_gone) return not_there(err);
  *out = &source;
  return 0;
}

/* With room for more fields than this header knows. */
static struct {
  imgh_handler table;
  unsigned char more[64];
} handler;
static struct {
  imgh_plugin table;
  unsigned char more[64];
} plugin;
static const imgh_handler *handlers[] = {&handler.table, &handler.table};

/* Where reading one byte past the end is a fault. */
static void *before_guard_page(const void *from, size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) != 0) abort();
  return memcpy(pages + page - size, from, size);
}

static const imgh_plugin *table(void) {
  static const imgh_str good = IMGH_LITERAL("{\"id\":\"table\",\"kinds\":[\"source\"],\"schemes\":[\"table\"]}");
  static const imgh_str deletes =
      IMGH_LITERAL("{\"id\":\"table\",\"kinds\":[\"source\"],\"schemes\":[\"table\"],\"deletes\":true}");
  static const imgh_str not_json = IMGH_LITERAL("{\"id\":");
  static const imgh_str not_utf8 = IMGH_LITERAL("{\"id\":\"\xff\"}");
  static const imgh_str bad_id = IMGH_LITERAL("{\"id\":\"../table\",\"kinds\":[\"source\"]}");
  static const imgh_str name = IMGH_LITERAL("table");
  static const imgh_str bad_name = IMGH_LITERAL("Ta\nble");

  handler.table.struct_size = sizeof handler.table;
  handler.table.thread_model = CASE == BAD_THREADS ? 7 : IMGH_PARALLEL;
  handler.table.info = CASE == INFO_NOT_JSON   ? not_json
                       : CASE == INFO_NOT_UTF8 ? not_utf8
                       : CASE == BAD_ID        ? bad_id
                       : CASE >= DELETES       ? deletes
                                               : good;
  if (CASE == NULL_INFO) handler.table.info.ptr = NULL;
  handler.table.create = create;
  handler.table.destroy = destroy;
  if (CASE != NO_FUNCTION) handler.table.open = open_table;
  if (CASE == DELETES || CASE == DELETES_NOTHING) handler.table.delete_stored = delete_table;

  plugin.table.struct_size = sizeof plugin.table;
  plugin.table.magic = CASE == BAD_MAGIC ? 0x12345678u : IMGH_MAGIC;
  plugin.table.abi_major = CASE == OTHER_MAJOR ? IMGH_ABI_MAJOR + 1 : IMGH_ABI_MAJOR;
  plugin.table.abi_minor = CASE == OTHER_MINOR ? IMGH_ABI_MINOR + 1 : IMGH_ABI_MINOR;
  plugin.table.flags = CASE == LOW_FLAG       ? 1u << 8
                       : CASE == HIGH_FLAG    ? 1u << 16
                       : CASE == PANIC_ABORTS ? (unsigned)IMGH_PLUGIN_PANIC_ABORTS
                       : CASE == WORKER_ONLY  ? (unsigned)IMGH_PLUGIN_WORKER_ONLY
                                              : 0u;
  plugin.table.name = CASE == BAD_NAME ? bad_name : name;
  plugin.table.version = name;
  plugin.table.handlers = CASE == NULL_HANDLERS ? NULL : handlers;
  plugin.table.handler_count = CASE == MANY_HANDLERS ? 1000000 : CASE == TWICE ? 2 : 1;

  if (CASE == LONG) {
    memset(handler.more, 0xFF, sizeof handler.more);
    memset(plugin.more, 0xFF, sizeof plugin.more);
    handler.table.struct_size = sizeof handler;
    plugin.table.struct_size = sizeof plugin;
  }
  if (CASE == SHORT || CASE == GUARD_PAGE) {
    handler.table.struct_size = offsetof(imgh_handler, filter);
    plugin.table.struct_size = offsetof(imgh_plugin, get_extension);
    /* Must not be seen. */
    memset((char *)&handler.table + handler.table.struct_size, 0xFF, sizeof handler.table - handler.table.struct_size);
    memset((char *)&plugin.table + plugin.table.struct_size, 0xFF, sizeof plugin.table - plugin.table.struct_size);
  }
  if (CASE == TOO_SHORT) plugin.table.struct_size = 16;
  if (CASE == ODD_SIZE) handler.table.struct_size = sizeof handler.table - 3;
  if (CASE == NULL_HANDLER) handlers[0] = NULL;
  if (CASE == GUARD_PAGE) {
    handlers[0] = before_guard_page(&handler.table, handler.table.struct_size);
    return before_guard_page(&plugin.table, plugin.table.struct_size);
  }
  return CASE == NULL_TABLE ? NULL : &plugin.table;
}

#if defined(__GNUC__)
__attribute__((constructor))
#endif
static void constructor(void) {
  if (CASE == ABORT_IN_CONSTRUCTOR) abort();
  if (CASE == EXIT_IN_CONSTRUCTOR) _exit(3);
  if (CASE == NOISY_CONSTRUCTOR) {
    puts("{\"Ok\": \"this is not the answer\"}");
    fflush(stdout);
  }
  while (CASE == HANG_IN_CONSTRUCTOR) pause();
}

#ifdef WITHOUT_ENTRY
const imgh_plugin *imgh_plugin_v99(void);
IMGH_EXPORT const imgh_plugin *imgh_plugin_v99(void) { return table(); }
#else
const imgh_plugin *imgh_plugin_v0(void) {
  static int *volatile nowhere;
  if (CASE == CRASH_IN_ENTRY) *nowhere = 1;
  return table();
}
#endif
