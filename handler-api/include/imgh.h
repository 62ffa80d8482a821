/* imgh.h - the plugin ABI for image handlers, major 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * A plugin is a shared object that exports one function, imgh_plugin_v0. It returns a static table; everything else
 * hangs off that table. Until major 1 a plugin and a host work together only when their minors are equal.
 *
 * Layout
 *  - Every struct that may grow begins with struct_size, set by its maker to its own sizeof. Fields are only ever
 *    added at the end. A reader copies the smaller of the two sizes and takes the rest for zero; a zero function
 *    pointer means "not offered". No struct has padding, and struct_size is a multiple of sizeof(size_t).
 *  - The maker of a growing struct owns it and hands out a pointer to it. Only imgh_error is filled in by the other
 *    side, which writes no more than the struct_size that it finds there.
 *
 * Life times
 *  - imgh_plugin, imgh_handler, imgh_host and their strings: as long as the process. A plugin is never unloaded.
 *  - Strings passed to a function: until it returns. They are UTF-8 and not NUL-terminated.
 *  - JSON has white space, members and escapes in any order and form that JSON allows; characters beyond ASCII come as
 *    raw UTF-8 or as \u escapes. Use a parser, and ignore members that you do not know.
 *  - An imgh_call, and the outputs opened on it: until the function that it was passed to returns. A call passed to
 *    open or filter lives on until the close of the source that came of it returned; so does the input of filter.
 *  - An imgh_source: until its close returned. The host closes every source, and before it destroys the instance, but
 *    for a worker that it kills.
 *  - Nobody frees what the other side allocated. Answers are given to the host with result(), which copies them.
 *
 * Errors
 *  - A function that can fail takes imgh_error *err last and returns 0, or the IMGH_ERR_* kind that it put there.
 *    err may be NULL. Text in it is UTF-8, NUL-terminated and never holds a secret.
 *  - A plugin that returns one of the two kinds that are the host's own gets IMGH_ERR_INTERNAL, "bad-error", as for a
 *    number that is no kind.
 *
 * Processes
 *  - The same plugin file runs inside the agent, or in a worker: a process of its own, a fresh one for each job. There
 *    the instance is made anew for each job, and several workers may each have one at once.
 *  - In a worker, standard input is /dev/null; standard output and standard error are captured line by line, as log
 *    lines; the environment is empty; the working directory is /. Memory, CPU seconds, descriptors and file size have
 *    limits.
 *  - A worker is killed when its job is over. Nothing that must survive may be left to close or destroy.
 *  - A handler that gives no sign of life for as long as the node's limits.stall (no byte, no progress, no answer) is
 *    told to stop, and given up with the code "stalled". Asking is_cancelled is no sign of life.
 *
 * Threads
 *  - [scan]  any thread, fast, no side effects: it runs while plugins are being looked at.
 *  - [setup] a thread that the host lends, one at a time for an instance. Before the agent makes an instance of its own,
 *            one of the configuration {} is made and destroyed in a process that only looks at the plugin.
 *  - [work]  a thread that the host lends for this one call. It may block, and ends soon once the call is cancelled.
 *            At once with other [work] calls where the handler is IMGH_PARALLEL.
 *            A lent thread has a stack of 2 MiB and is a new one each time: thread-local data does not last. SIGINT,
 *            SIGTERM, SIGHUP, SIGIO and SIGXFSZ are blocked on it, other signals are not. SIGPIPE is ignored in the
 *            whole process: writing to a closed pipe or socket gives EPIPE.
 *  - [any]   any thread, also one of the plugin's own, while the object lives.
 *
 * Conduct
 *  - Nothing unwinds or longjmps out of a function, in either direction.
 *  - A plugin does not exit, fork or exec, nor change signal handlers, the environment, the working directory or the
 *    umask. It prints nothing: in the agent, standard output carries the answer. It reads no environment variable and
 *    opens no path but beneath the store that a request names. What else it needs
 *    comes as configuration, as a secret or as a descriptor.
 *  - After a function returned, nothing that it started writes to an output or a sink any more.
 */
#ifndef IMGH_H
#define IMGH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IMGH_MAGIC 0x48474D49u /* the bytes "IMGH" on a little-endian machine */
#define IMGH_ABI_MAJOR 0u
#define IMGH_ABI_MINOR 2u

/* 0, or an IMGH_ERR_* kind. */
typedef uint32_t imgh_status;

typedef struct imgh_str {
  const char *ptr; /* may be NULL when len is 0 */
  size_t len;
} imgh_str;

typedef struct imgh_call imgh_call;         /* the host's, one for each running operation */
typedef struct imgh_instance imgh_instance; /* the plugin's, one for each configured handler */

/* What went wrong. Closed list; a number that is not in it counts as IMGH_ERR_INTERNAL. */
enum {
  IMGH_ERR_UNSUPPORTED = 1,  /* not something this handler can do; another may */
  IMGH_ERR_INVALID = 2,      /* a URL, record, option or configuration that cannot be right */
  IMGH_ERR_NOT_FOUND = 3,    /* what was named is not there */
  IMGH_ERR_DENIED = 4,       /* it is there, and may not be used */
  IMGH_ERR_UNAVAILABLE = 5,  /* a passing fault: the same may work later */
  IMGH_ERR_CORRUPT = 6,      /* the bytes are not what they must be */
  IMGH_ERR_LIMIT = 7,        /* a configured bound was met */
  IMGH_ERR_NO_SPACE = 8,     /* a file system or a quota is full */
  IMGH_ERR_IO = 9,           /* a system call failed; see os_errno */
  IMGH_ERR_EXISTS = 10,      /* the host's own: the target exists and was not to be replaced */
  IMGH_ERR_UNHASHED = 11,    /* the host's own: there is no digest to verify against */
  IMGH_ERR_CANCELLED = 12,   /* stopped because is_cancelled said so */
  IMGH_ERR_CRASHED = 13,     /* a panic or exception was caught at the boundary */
  IMGH_ERR_INTERNAL = 14     /* a bug */
};

/* What the failure rules out, and so what is tried next. */
enum {
  IMGH_SCOPE_DEFAULT = 0,  /* whatever is usual for the kind */
  IMGH_SCOPE_LOCATION = 1, /* this location: the next attempt is made */
  IMGH_SCOPE_HANDLER = 2,  /* this handler: the attempts of others are made */
  IMGH_SCOPE_IMAGE = 3,    /* the image: no other copy can be better */
  IMGH_SCOPE_REQUEST = 4,  /* the request must be changed */
  IMGH_SCOPE_NODE = 5      /* nothing can be placed on this node now */
};

enum { IMGH_CODE_BYTES = 48, IMGH_MESSAGE_BYTES = 1024 };

/* In the memory of whoever wants to know, who sets struct_size and zeroes the rest. */
typedef struct imgh_error {
  size_t struct_size;
  uint32_t kind;                    /* IMGH_ERR_* */
  uint32_t scope;                   /* IMGH_SCOPE_* */
  int32_t os_errno;                 /* 0: no system call failed */
  uint32_t retry_after_ms;          /* with IMGH_ERR_UNAVAILABLE: when to try again, as the other end says; 0: it does not */
  char code[IMGH_CODE_BYTES];       /* precise cause, kebab-case: "digest-mismatch" */
  char message[IMGH_MESSAGE_BYTES]; /* for people: what was tried, on what, and what came of it */
} imgh_error;

/* Where a source puts its bytes: ask for room, fill it, say how much was filled. The host's. */
typedef struct imgh_sink {
  size_t struct_size;
  void *ctx;
  /* [work] Room for at most `want` bytes (want > 0) at *buf, of which *room (1..want) may be filled. Blocks while the
   * reader is behind. The room is the plugin's until commit, or until the next reserve. */
  imgh_status (*reserve)(void *ctx, size_t want, void **buf, size_t *room, imgh_error *err);
  /* [work] The first `filled` bytes of the last reservation are there. */
  imgh_status (*commit)(void *ctx, size_t filled, imgh_error *err);
} imgh_sink;

enum {
  IMGH_SOURCE_RANGED = 1, /* any range can be read, and several at once, each as often as the host likes; else only the
                           * whole, from 0, once */
  IMGH_SOURCE_FD = 2      /* `fd` is there */
};

/* An opened location. The plugin's. What is data here does not change while the source is open.
 *
 * The host reads a ranged source in several ranges, at once where the handler is IMGH_PARALLEL. A range that failed
 * with IMGH_ERR_UNAVAILABLE is read again; one that gave no byte for a while is cancelled and read again. The same
 * location may be opened again, also while this source is open; the validators tell whether the bytes are the same. */
typedef struct imgh_source {
  size_t struct_size;
  void *ctx;
  int64_t size;      /* stored bytes, or -1 when the store does not say */
  uint32_t flags;    /* IMGH_SOURCE_* */
  /* Looked at only where IMGH_SOURCE_FD is set: a readable descriptor of a regular file of exactly `size` bytes, the
   * source's at the same offsets. The host duplicates it at once. Never one of the three standard descriptors. */
  int32_t fd;
  imgh_str validator; /* tells this version of the bytes from another (an ETag), or empty */
  /* [work] Stream `len` bytes from `offset` into the sink, in order. The range may reach beyond the end, up to
   * UINT64_MAX where the size is not known; fewer bytes, with 0 returned, mean that the source ends there. `call` is
   * this read's own, and so is the sink. A read that failed leaves the source usable. */
  imgh_status (*read)(void *ctx, imgh_call *call, uint64_t offset, uint64_t len, const imgh_sink *sink,
                      imgh_error *err);
  /* [work] The last function called on this source. */
  void (*close)(void *ctx);
} imgh_source;

enum { IMGH_INPUT_RANGED = 1 }; /* any offset can be read; else offsets only go forward */

/* The bytes given to filter and unpack. The host's.
 *
 * Where `info` says ranged_input, any offset can be read: a source without a descriptor was spooled to a scratch file
 * first. Otherwise it may be a stream: offsets go forward, what was skipped is gone, and going back fails with
 * IMGH_ERR_UNSUPPORTED, "input-forward-only". The bytes that are read here are those that are hashed; whether the
 * digest is the record's is known only at the end, so until then they are anybody's. */
typedef struct imgh_input {
  size_t struct_size;
  void *ctx;
  int64_t size;   /* bytes, or -1 when unknown */
  uint32_t flags; /* IMGH_INPUT_* */
  int32_t fd;     /* readable, with the same bytes at the same offsets, or -1. The host's: duplicate it to keep it. */
  /* [any] Up to len bytes from offset into buf; *got is less than len only at the end. Blocks until they are there. */
  imgh_status (*read_at)(void *ctx, void *buf, size_t len, uint64_t offset, size_t *got, imgh_error *err);
} imgh_input;

/* One disk being written. The host's. Writes come in any order; what is never written reads as zeros. */
typedef struct imgh_output {
  size_t struct_size;
  void *ctx;
  /* [any] All of buf, at offset; never beyond the output's size. */
  imgh_status (*write_at)(void *ctx, const void *buf, size_t len, uint64_t offset, imgh_error *err);
  /* [any] Make a range read as zeros, as a hole where that is possible. */
  imgh_status (*zero)(void *ctx, uint64_t offset, uint64_t len, imgh_error *err);
  /* [any] Bring len bytes at fd_offset of fd to offset, cloned where that is possible. fd stays the plugin's. */
  imgh_status (*adopt_fd)(void *ctx, int32_t fd, uint64_t fd_offset, uint64_t offset, uint64_t len, imgh_error *err);
  /* [any] Change the size that open_output was told. What lay beyond a smaller size is gone: growing again gives zeros.
   * In transfer never more than the stored size that the record gives, if it gives one. */
  imgh_status (*set_size)(void *ctx, uint64_t size, imgh_error *err);
  /* [any] The output is complete; nothing may be written after this. An output that was never finished is a failure of
   * the operation, whatever it returned. */
  imgh_status (*finish)(void *ctx, imgh_error *err);
} imgh_output;

enum { IMGH_LOG_ERROR = 1, IMGH_LOG_WARN = 2, IMGH_LOG_INFO = 3, IMGH_LOG_DEBUG = 4, IMGH_LOG_TRACE = 5 };

/* What the host offers. One table for the process, for ever. */
typedef struct imgh_host {
  size_t struct_size;
  uint32_t abi_major, abi_minor;
  imgh_str name, version;
  /* [any] One line for the operator, of at most 2000 bytes; the host escapes control characters. target tells the part
   * of the plugin that it is from, and may be empty. call may be NULL: a line of no operation. Never a secret. */
  void (*log)(imgh_call *call, uint32_t level, imgh_str target, imgh_str message);
  /* [any] The most detailed IMGH_LOG_* that is kept. It may change. */
  uint32_t (*log_level)(void);
  /* [any] Bytes done, and the total or -1. For display, and a sign of life. Cheap: once for each chunk is fine. */
  void (*progress)(imgh_call *call, uint64_t done, int64_t total);
  /* [any] 1 when the operation must stop. Cheap: once for each chunk is fine. */
  uint32_t (*is_cancelled)(imgh_call *call);
  /* [any] Readable once the operation must stop, or -1. The host's: poll it, never read or close it. */
  int32_t (*cancel_fd)(imgh_call *call);
  /* [any] A secret: location.url, the location's whole URL, where the request names it since it shows the URL redacted;
   * tls.roots: the certificates that this node trusts, in PEM; or a login that the handler's info and the request name (cloud,
   * catalog.cloud, catalog.service), JSON (cloud). Given to the call of open or transfer while that runs. *len is its length; it is copied to buf when cap is enough, otherwise nothing is copied and 0
   * is returned all the same. */
  imgh_status (*secret)(imgh_call *call, imgh_str name, void *buf, size_t cap, size_t *len, imgh_error *err);
  /* [work] Output `number` of `size` bytes, once each: 0 for the first disk, 1 for the next, without a gap; transfer has
   * one. meta is JSON (output-meta) or empty. transfer and unpack only. */
  imgh_status (*open_output)(imgh_call *call, uint32_t number, uint64_t size, imgh_str meta, const imgh_output **out,
                             imgh_error *err);
  /* [work] The operation's answer, JSON. The last one before the function returns 0 counts. */
  imgh_status (*result)(imgh_call *call, imgh_str json, imgh_error *err);
  /* [any] An optional table by its id, for instance "imgh.related/1"; NULL when there is none. */
  const void *(*get_extension)(imgh_str id);
} imgh_host;

enum { IMGH_SERIAL = 0, IMGH_PARALLEL = 1 }; /* thread models: how many [work] calls at once */

/* A handler. The plugin's, static. create, destroy and the function of each kind in `info` must be there; every other
 * function may be NULL. */
typedef struct imgh_handler {
  size_t struct_size;
  uint32_t thread_model; /* IMGH_SERIAL or IMGH_PARALLEL */
  uint32_t reserved;     /* 0 */
  imgh_str info;         /* JSON (handler-info): id, description, kinds, schemes, formats, needs_network, deletes, ranged_input,
                          * file_settings, logins */
  /* [setup] Make an instance. config is this handler's section of the configuration, JSON, at least {}. */
  imgh_status (*create)(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err);
  /* [setup] The last function called on an instance, if it is called: a worker is killed. NULL is tolerated. */
  void (*destroy)(imgh_instance *self);
  /* [work] Will it try this request (JSON, request)? result(): JSON (probe). No I/O. NULL: it tries every location of
   * its schemes. */
  imgh_status (*probe)(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err);
  /* [work] kind transfer: write the outputs. */
  imgh_status (*transfer)(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err);
  /* [work] kind source: open the request's location. The same one may be opened several times. */
  imgh_status (*open)(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_source **out,
                      imgh_error *err);
  /* [work] kind filter: a source that reads from `in`, front to back. Its read is called once, for the whole. */
  imgh_status (*filter)(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_input *in,
                        const imgh_source **out, imgh_error *err);
  /* [work] kind unpack: read `in`, write the outputs. result(): what the container says of the machine that the disks are
   * for, a JSON object; or nothing. */
  imgh_status (*unpack)(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_input *in, imgh_error *err);
  /* [work] kind select: result(): JSON, an array of (ranked), for the request (select-request). Not called in this
   * version. */
  imgh_status (*select)(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err);
  /* [work] Needed where info says "deletes": delete the bytes that the request's location names from their store, and all that
   * belongs to them there, after a probe with "to_delete". IMGH_ERR_NOT_FOUND: the store has no such bytes, which counts as
   * done. IMGH_ERR_DENIED: nothing was touched. After any other error it is called again another time, so that of several
   * objects the one that leads to the others goes last. Two calls may be at one location at once. */
  imgh_status (*delete_stored)(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err);
  /* [work] Optional: could it serve now? result(): JSON (handler-status). */
  imgh_status (*status)(imgh_instance *self, imgh_call *call, imgh_error *err);
  /* [work] Optional: the host removed or moved a placement that this handler made. event is JSON (placement-event). */
  imgh_status (*placement_removed)(imgh_instance *self, imgh_call *call, imgh_str event, imgh_error *err);
  imgh_status (*placement_moved)(imgh_instance *self, imgh_call *call, imgh_str event, imgh_error *err);
} imgh_handler;

/* Plugin flags. A host ignores bits 0-15 that it does not know, and refuses the plugin for unknown bits 16-31. */
enum {
  IMGH_PLUGIN_PANIC_ABORTS = 1, /* a panic or exception ends the process: run it in a worker only */
  IMGH_PLUGIN_WORKER_ONLY = 2   /* run it in a worker only, for another reason */
};

typedef struct imgh_plugin {
  size_t struct_size;
  uint32_t magic;                /* IMGH_MAGIC */
  uint32_t abi_major, abi_minor; /* IMGH_ABI_MAJOR, IMGH_ABI_MINOR as they were when the plugin was built */
  uint32_t flags;                /* IMGH_PLUGIN_* */
  imgh_str name, version;        /* for people and records; name is [a-z0-9-]+ */
  imgh_str built_with;           /* compiler or kit, for support */
  const imgh_handler *const *handlers;
  size_t handler_count;
  /* [scan] An optional table by its id, or NULL. */
  const void *(*get_extension)(imgh_str id);
} imgh_plugin;

#if defined(__GNUC__)
#define IMGH_EXPORT __attribute__((visibility("default")))
#else
#define IMGH_EXPORT
#endif

/* [scan] The one exported symbol. */
IMGH_EXPORT const imgh_plugin *imgh_plugin_v0(void);

/* For authors in C (C99 or later) and C++ (C++11 or later). */

/* An imgh_str of a string literal. An initializer and nothing else; elsewhere use imgh_text. */
#define IMGH_LITERAL(text) { (text), sizeof(text) - 1 }

/* Whether the other side's struct has this function. */
#define IMGH_HAS(table, type, field) \
  ((table)->struct_size >= offsetof(type, field) + sizeof((table)->field) && (table)->field != NULL)

/* An imgh_str of a NUL-terminated string. */
static inline imgh_str imgh_text(const char *text) {
  imgh_str str;
  str.ptr = text;
  str.len = text ? strlen(text) : 0;
  return str;
}

/* Fills in an error and returns its kind: `return imgh_fail(err, IMGH_ERR_NOT_FOUND, "no-such-object", text);` What an
 * earlier failure left in it is overwritten. */
static inline imgh_status imgh_fail(imgh_error *err, imgh_status kind, const char *code, const char *message) {
  if (err != NULL && err->struct_size >= sizeof *err) {
    err->kind = kind;
    err->scope = IMGH_SCOPE_DEFAULT;
    err->os_errno = 0;
    strncpy(err->code, code, IMGH_CODE_BYTES - 1);
    err->code[IMGH_CODE_BYTES - 1] = '\0';
    strncpy(err->message, message, IMGH_MESSAGE_BYTES - 1);
    err->message[IMGH_MESSAGE_BYTES - 1] = '\0';
  }
  return kind;
}

/* The same, with what the failure rules out. */
static inline imgh_status imgh_fail_scoped(imgh_error *err, imgh_status kind, uint32_t scope, const char *code,
                                           const char *message) {
  imgh_fail(err, kind, code, message);
  if (err != NULL && err->struct_size >= sizeof *err) err->scope = scope;
  return kind;
}

/* The same for a failed system call: os_errno is errno as the call left it. */
static inline imgh_status imgh_fail_os(imgh_error *err, imgh_status kind, int32_t os_errno, const char *code,
                                       const char *message) {
  imgh_fail(err, kind, code, message);
  if (err != NULL && err->struct_size >= sizeof *err) err->os_errno = os_errno;
  return kind;
}

#ifdef __cplusplus
}
#endif
#endif /* IMGH_H */
