/* Three handlers that do one deed each time, and what is theirs to do besides.
 *
 *   villain://DEED/SIZE/at=PLACE            handler "villain", kind source
 *   villain-transfer://DEED/SIZE/at=PLACE   handler "villain-transfer", kind transfer
 *   image property deed = "DEED/SIZE/at=PLACE", in `image` or `image.properties`
 *                                           handler "villain-unpack", kind unpack, format "villainous"
 *   configuration deed = "DEED", at = "create" or "status"
 *
 * PLACE is probe, open, read, transfer or unpack, by what the kind has. Without it, it is the kind's main function: for
 * a source open, but read for the deeds that need one. "?at=PLACE" does as well, but a probe sees no values of a query.
 * In read, transfer and unpack the deed is done once half of the bytes were given; in read once for an opened source.
 * A deed that leaves the process alive is followed by what is proper: the content of seeded.c, SEED 1, SIZE bytes. What
 * came of it is logged as a warning, "DEED: ...", since a confined process may be kept from it.
 *
 * Deeds of every place:
 *   segv, abort, stack-overflow, exit (with 3), exit0, raise-kill (SIGKILL to itself), stop (SIGSTOP to itself)
 *   spin, sleep       for ever, whatever is_cancelled says
 *   eat-memory        touches memory until there is none, then aborts
 *   leak-fds          opens /dev/null until there are no descriptors left
 *   leak-threads      starts 50 threads that sleep for ever
 *   fork              a child in a session of its own that sleeps for ever and has all descriptors
 *   fork-crash        the same, then segv
 *   close-all         closes the descriptors 3 to 1023
 *   garbage           sends 1000 random bytes into each socket
 *   huge              sends messages into each socket, as large as it takes and as many, up to 1000
 *   log-flood         100000 lines to the log and 100000 to standard error
 *   message-long      fails as unavailable with a code and a message that fill their fields, and are no text
 *   error-as-success  returns 77, and no error with it
 *   fine              nothing
 * Deeds of read, transfer and unpack:
 *   scribble          a thread overwrites all shared mappings of memfd:landfall* with random bytes as long as it lasts;
 *                     where /proc cannot be read, the room that the sink has handed out
 *   claim             returns 0 at once, without a byte or an output
 *   wrong-size        only half of the bytes: read ends there, the others change the size to it
 * Deeds of transfer and unpack:
 *   beyond            writes a byte at SIZE + 1 MiB, by write_at and to each regular file that it has open for writing
 *   adopt-odd         adopts a pipe, and descriptor 99999
 *   no-finish         leaves out finish
 *   twice             opens output 0 twice
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imgh.h"
#include "kit.h"

enum { MIB = 1 << 20, CHUNK = 65536, NAME_BYTES = 32, RANGES = 64 };
enum { FIRST_FD = 3, CLOSED_FDS = 1024, LOOKED_AT_FDS = 4096, THREADS = 50, SMALL_STACK = 65536 };
enum { FLOOD = 100000, GARBAGE_BYTES = 1000, HUGE_BYTES = 4 * MIB, HUGE_MESSAGES = 1000 };

enum place { CREATE = 1, STATUS = 2, PROBE = 4, OPEN = 8, READ = 16, TRANSFER = 32, UNPACK = 64 };

enum { WRITES = TRANSFER | UNPACK, BYTES = READ | WRITES, ANYWHERE = 127 };

struct order {
  const struct deed *deed; /* or NULL */
  enum place at;
  uint64_t size;
};

struct imgh_instance {
  const imgh_host *host;
  unsigned places; /* where deeds of this handler's requests are done */
  struct order configured;
};

/* What a deed has to do with. */
struct scene {
  const imgh_host *host;
  imgh_call *call; /* NULL in create */
  const struct order *order;
  const imgh_output *output; /* NULL but in transfer and unpack */
};

struct deed {
  const char *name;
  unsigned places;
  void (*commit)(const struct scene *scene); /* NULL where it is a matter of what a function leaves out or returns */
};

struct opened {
  imgh_source source;
  imgh_instance *instance;
  struct order order;
  atomic_flag done;
};

static int is(const struct order *order, const char *deed) {
  return order->deed != NULL && strcmp(order->deed->name, deed) == 0;
}

#define TRY(action)                   \
  do {                                \
    imgh_status status_ = (action);   \
    if (status_ != 0) return status_; \
  } while (0)

static void say(const struct scene *scene, const char *format, ...) {
  char line[256];
  int len = snprintf(line, sizeof line, "%s: ", scene->order->deed->name);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line + len, sizeof line - (size_t)len, format, arguments);
  va_end(arguments);
  scene->host->log(scene->call, IMGH_LOG_WARN, imgh_text("villain"), imgh_text(line));
}

/* ---- The end of the process ---- */

static void segv(const struct scene *scene) {
  volatile int *volatile nowhere = NULL;
  (void)scene;
  *nowhere = 1;
}

static void abort_it(const struct scene *scene) {
  (void)scene;
  abort();
}

/* Through a pointer that the compiler cannot see through, so that it stays a recursion. */
static int (*volatile deeper)(int depth);

static int down(int depth) {
  volatile char frame[4096];
  frame[0] = (char)depth;
  return deeper(depth + 1) + frame[0];
}

static void stack_overflow(const struct scene *scene) {
  deeper = down;
  say(scene, "came back with %d", deeper(0));
}

static void exit_it(const struct scene *scene) { exit(is(scene->order, "exit") ? 3 : 0); }

static void raise_kill(const struct scene *scene) {
  kill(getpid(), SIGKILL);
  say(scene, "still there: %s", strerror(errno));
}

static void stop(const struct scene *scene) {
  const int failed = raise(SIGSTOP);
  say(scene, "%s", failed ? strerror(errno) : "went on");
}

static void spin(const struct scene *scene) {
  volatile uint64_t turns = 0;
  (void)scene;
  for (;;) turns++;
}

static void *sleeper(void *nothing) {
  for (;;) pause();
  return nothing;
}

static void sleep_on(const struct scene *scene) {
  (void)scene;
  sleeper(NULL);
}

static void eat_memory(const struct scene *scene) {
  void *bytes;
  (void)scene;
  while ((bytes = malloc(MIB)) != NULL) kit_fill(bytes, MIB, 0, 1);
  abort();
}

/* ---- What the process has ---- */

static void leak_fds(const struct scene *scene) {
  int leaked = 0, last;
  for (;;) {
    last = open("/dev/null", O_RDONLY);
    /* Where no path can be opened, standard input is /dev/null. */
    if (last < 0 && errno != EMFILE) last = dup(0);
    if (last < 0) break;
    leaked++;
  }
  say(scene, "%d descriptors, then %s", leaked, strerror(errno));
}

static int start_thread(pthread_t *thread, void *(*run)(void *), void *argument) {
  pthread_attr_t attributes;
  int failed;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, SMALL_STACK);
  failed = pthread_create(thread, &attributes, run, argument);
  pthread_attr_destroy(&attributes);
  return failed;
}

static void leak_threads(const struct scene *scene) {
  pthread_t thread;
  int started = 0, failed = 0;
  while (started < THREADS && (failed = start_thread(&thread, sleeper, NULL)) == 0) started++;
  say(scene, "%d threads%s%s", started, failed ? ", then " : "", failed ? strerror(failed) : "");
}

static void fork_child(const struct scene *scene) {
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    sleeper(NULL);
  }
  say(scene, "child %d%s%s", (int)child, child < 0 ? ": " : "", child < 0 ? strerror(errno) : "");
}

static void fork_crash(const struct scene *scene) {
  fork_child(scene);
  segv(scene);
}

static void close_all(const struct scene *scene) {
  int fd, closed = 0;
  for (fd = FIRST_FD; fd < CLOSED_FDS; fd++) closed += close(fd) == 0;
  say(scene, "%d descriptors", closed);
}

/* ---- Sockets ---- */

static int is_of_type(int fd, mode_t type) {
  struct stat of;
  return fstat(fd, &of) == 0 && (of.st_mode & S_IFMT) == type;
}

static void garbage(const struct scene *scene) {
  unsigned char bytes[GARBAGE_BYTES];
  int fd, sockets = 0, sent = 0;
  kit_fill(bytes, sizeof bytes, 0, 2);
  for (fd = FIRST_FD; fd < LOOKED_AT_FDS; fd++) {
    if (!is_of_type(fd, S_IFSOCK)) continue;
    sockets++;
    sent += send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
  }
  say(scene, "%d sockets, %d took it", sockets, sent);
}

/* Gives a reader a moment to make room. */
static int has_room(int fd) {
  struct pollfd socket = {fd, POLLOUT, 0};
  return poll(&socket, 1, 50) == 1 && (socket.revents & (POLLERR | POLLHUP)) == 0;
}

static void huge(const struct scene *scene) {
  unsigned char *bytes = malloc(HUGE_BYTES);
  int fd;
  if (bytes == NULL) {
    say(scene, "no memory for a message");
    return;
  }
  kit_fill(bytes, HUGE_BYTES, 0, 3);
  for (fd = FIRST_FD; fd < LOOKED_AT_FDS; fd++) {
    size_t len = HUGE_BYTES;
    int sent = 0;
    if (!is_of_type(fd, S_IFSOCK)) continue;
    while (sent < HUGE_MESSAGES && len > 0) {
      if (send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        sent++;
      else if (errno == EMSGSIZE || errno == ENOBUFS)
        len /= 2;
      else if (errno != EAGAIN || !has_room(fd))
        break;
    }
    say(scene, "socket %d took %d messages of %zu bytes, then %s", fd, sent, len, strerror(errno));
  }
  free(bytes);
}

/* ---- Words ---- */

static void log_flood(const struct scene *scene) {
  int line;
  for (line = 0; line < FLOOD; line++) {
    say(scene, "line %d of many, which nobody wants to read", line);
    fprintf(stderr, "line %d of many, which nobody wants to read\n", line);
  }
}

static void fill_with(char *bytes, size_t len) {
  static const char odd[] = "\033[31m\r\n\t\x7f\xff\xfe\xc0\xaf\xed\xa0\x80 text";
  size_t at;
  for (at = 0; at < len; at++) bytes[at] = odd[at % (sizeof odd - 1)];
}

static imgh_status fail_at_length(imgh_error *err) {
  if (err != NULL && err->struct_size >= sizeof *err) {
    err->kind = IMGH_ERR_UNAVAILABLE;
    err->scope = UINT32_MAX;
    err->os_errno = INT32_MAX;
    err->retry_after_ms = UINT32_MAX;
    fill_with(err->code, sizeof err->code);
    fill_with(err->message, sizeof err->message);
  }
  return IMGH_ERR_UNAVAILABLE;
}

/* ---- Outputs ---- */

static void beyond(const struct scene *scene) {
  const uint64_t offset = scene->order->size + MIB;
  int fd, files = 0, written = 0;
  for (fd = FIRST_FD; fd < LOOKED_AT_FDS; fd++) {
    if (!is_of_type(fd, S_IFREG) || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) continue;
    files++;
    written += pwrite(fd, "!", 1, (off_t)offset) == 1;
  }
  say(scene, "%d files, %d took it, write_at says %u", files, written,
      (unsigned)scene->output->write_at(scene->output->ctx, "!", 1, offset, NULL));
}

static void adopt_odd(const struct scene *scene) {
  const imgh_output *output = scene->output;
  int ends[2];
  if (pipe(ends) != 0) {
    say(scene, "no pipe: %s", strerror(errno));
    return;
  }
  say(scene, "a pipe: %u, a number: %u", (unsigned)output->adopt_fd(output->ctx, ends[0], 0, 0, 1, NULL),
      (unsigned)output->adopt_fd(output->ctx, 99999, 0, 0, 1, NULL));
  close(ends[0]);
  close(ends[1]);
}

static void twice(const struct scene *scene) {
  const imgh_output *second;
  say(scene, "the second time: %u",
      (unsigned)scene->host->open_output(scene->call, 0, scene->order->size, imgh_text(""), &second, NULL));
}

/* ---- Scribbling ---- */

struct scribbler {
  pthread_t thread;
  int running, rooms; /* whether there is a thread, and whether it lives off the sink's rooms */
  atomic_int stop, passes;
  atomic_size_t ranges;
  struct {
    void *at;
    size_t len;
  } range[RANGES];
};

static void add_range(struct scribbler *scribbler, void *at, size_t len) {
  const size_t ranges = atomic_load(&scribbler->ranges);
  if (ranges == RANGES) return;
  scribbler->range[ranges].at = at;
  scribbler->range[ranges].len = len;
  atomic_store(&scribbler->ranges, ranges + 1);
}

static void find_mappings(struct scribbler *scribbler) {
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[512], rights[5];
  unsigned long begin, end;
  scribbler->rooms = maps == NULL;
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
    if (strstr(line, "memfd:landfall") != NULL && sscanf(line, "%lx-%lx %4s", &begin, &end, rights) == 3 &&
        rights[1] == 'w' && rights[3] == 's')
      add_range(scribbler, (void *)begin, end - begin);
  if (maps != NULL) fclose(maps);
}

static void *scribble(void *argument) {
  struct scribbler *scribbler = argument;
  uint64_t seed = 4;
  size_t at;
  while (!atomic_load(&scribbler->stop)) {
    for (at = 0; at < atomic_load(&scribbler->ranges); at++)
      kit_fill(scribbler->range[at].at, scribbler->range[at].len, 0, seed++);
    atomic_fetch_add(&scribbler->passes, 1);
  }
  return NULL;
}

/* Returns when all has been overwritten once. */
static void start_scribbling(const struct scene *scene, struct scribbler *scribbler) {
  int failed;
  memset(scribbler, 0, sizeof *scribbler);
  if (!is(scene->order, "scribble")) return;
  find_mappings(scribbler);
  failed = start_thread(&scribbler->thread, scribble, scribbler);
  scribbler->running = !failed;
  while (scribbler->running && atomic_load(&scribbler->passes) == 0) usleep(1000);
  say(scene, "%zu mappings%s%s", atomic_load(&scribbler->ranges), scribbler->rooms ? ", so the sink's rooms" : "",
      failed ? ", but no thread" : "");
}

static void stop_scribbling(const struct scene *scene, struct scribbler *scribbler) {
  if (!scribbler->running) return;
  atomic_store(&scribbler->stop, 1);
  pthread_join(scribbler->thread, NULL);
  say(scene, "overwritten %d times", atomic_load(&scribbler->passes));
}

/* ---- Orders ---- */

static const struct deed deeds[] = {
    {"segv", ANYWHERE, segv},
    {"abort", ANYWHERE, abort_it},
    {"stack-overflow", ANYWHERE, stack_overflow},
    {"exit", ANYWHERE, exit_it},
    {"exit0", ANYWHERE, exit_it},
    {"raise-kill", ANYWHERE, raise_kill},
    {"stop", ANYWHERE, stop},
    {"spin", ANYWHERE, spin},
    {"sleep", ANYWHERE, sleep_on},
    {"eat-memory", ANYWHERE, eat_memory},
    {"leak-fds", ANYWHERE, leak_fds},
    {"leak-threads", ANYWHERE, leak_threads},
    {"fork", ANYWHERE, fork_child},
    {"fork-crash", ANYWHERE, fork_crash},
    {"close-all", ANYWHERE, close_all},
    {"garbage", ANYWHERE, garbage},
    {"huge", ANYWHERE, huge},
    {"log-flood", ANYWHERE, log_flood},
    {"message-long", ANYWHERE, NULL},
    {"error-as-success", ANYWHERE, NULL},
    {"fine", ANYWHERE, NULL},
    {"scribble", BYTES, NULL},
    {"claim", BYTES, NULL},
    {"wrong-size", BYTES, NULL},
    {"beyond", WRITES, beyond},
    {"adopt-odd", WRITES, adopt_odd},
    {"twice", WRITES, twice},
    {"no-finish", WRITES, NULL},
};

static const struct {
  const char *name;
  enum place place;
} places[] = {{"create", CREATE}, {"status", STATUS}, {"probe", PROBE},   {"open", OPEN},
              {"read", READ},     {"transfer", TRANSFER}, {"unpack", UNPACK}};

static int take_deed(struct order *order, const char *name) {
  size_t at;
  for (at = 0; at < sizeof deeds / sizeof *deeds; at++)
    if (strcmp(deeds[at].name, name) == 0) order->deed = &deeds[at];
  return order->deed != NULL;
}

static int take_place(struct order *order, const char *name) {
  size_t at;
  for (at = 0; at < sizeof places / sizeof *places; at++) {
    if (strcmp(places[at].name, name) != 0) continue;
    order->at = places[at].place;
    return 1;
  }
  return strcmp(name, "***") == 0; /* what a probe sees of a query */
}

static imgh_status misplaced(imgh_error *err) {
  return imgh_fail(err, IMGH_ERR_INVALID, "villain-misplaced", "there is no such deed in this place");
}

/* DEED/SIZE/at=PLACE?at=PLACE, where the request has it. Without an order it is left as zeros. */
static imgh_status order_of(imgh_instance *self, imgh_call *call, imgh_str request, struct order *order,
                            imgh_error *err) {
  const struct kit_json image = kit_member(kit_json(request), "image");
  struct kit_url url;
  const char *name, *value;
  size_t at;
  memset(order, 0, sizeof *order);
  if (self->places & UNPACK) {
    if (!kit_string(kit_member(image, "deed"), url.text, sizeof url.text) &&
        !kit_string(kit_member(kit_member(image, "properties"), "deed"), url.text, sizeof url.text))
      return 0;
    kit_split(&url);
  } else {
    TRY(kit_location(self->host, call, request, &url, err));
  }
  if (url.segments < 2 || !take_deed(order, url.segment[0]) || !kit_number(url.segment[1], &order->size))
    return imgh_fail(err, IMGH_ERR_INVALID, "villain-deed", "there is no such DEED/SIZE");
  for (at = 2; at < url.segments; at++)
    if (strncmp(url.segment[at], "at=", 3) != 0 || !take_place(order, url.segment[at] + 3)) return misplaced(err);
  while (kit_next_option(&url.query, &name, &value))
    if (strcmp(name, "at") != 0 || !take_place(order, value)) return misplaced(err);
  if (order->at == 0) order->at = self->places & order->deed->places & OPEN;
  if (order->at == 0) order->at = self->places & BYTES;
  return order->at & self->places & order->deed->places ? 0 : misplaced(err);
}

/* Does the deed if this is the place for it. */
static imgh_status commit(const struct scene *scene, enum place here, imgh_error *err) {
  const struct order *order = scene->order;
  if (order->deed == NULL || order->at != here) return 0;
  if (is(order, "message-long")) return fail_at_length(err);
  if (is(order, "error-as-success")) return 77;
  if (order->deed->commit != NULL) order->deed->commit(scene);
  return 0;
}

static imgh_status probe(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err) {
  struct order order;
  struct scene scene = {self->host, call, &order, NULL};
  TRY(order_of(self, call, request, &order, err));
  TRY(commit(&scene, PROBE, err));
  return self->host->result(call, imgh_text("{\"accepts\":true}"), err);
}

static imgh_status status(imgh_instance *self, imgh_call *call, imgh_error *err) {
  struct scene scene = {self->host, call, &self->configured, NULL};
  TRY(commit(&scene, STATUS, err));
  return self->host->result(call, imgh_text("{\"ready\":true}"), err);
}

/* ---- Source ---- */

static imgh_status give(const struct scene *scene, const imgh_sink *sink, struct scribbler *scribbler, uint64_t offset,
                        uint64_t end, imgh_error *err) {
  while (offset < end) {
    void *buf;
    size_t room;
    if (scene->host->is_cancelled(scene->call)) return kit_cancelled(err);
    TRY(sink->reserve(sink->ctx, (size_t)kit_least(end - offset, CHUNK), &buf, &room, err));
    kit_fill(buf, room, offset, 1);
    TRY(sink->commit(sink->ctx, room, err));
    if (scribbler->rooms) add_range(scribbler, buf, room);
    offset += room;
  }
  return 0;
}

static imgh_status read_villain(void *ctx, imgh_call *call, uint64_t offset, uint64_t len, const imgh_sink *sink,
                                imgh_error *err) {
  struct opened *opened = ctx;
  const struct order *order = &opened->order;
  const uint64_t size = is(order, "claim") ? 0 : is(order, "wrong-size") ? order->size / 2 : order->size;
  const uint64_t count = offset < size ? kit_least(len, size - offset) : 0;
  struct scene scene = {opened->instance->host, call, order, NULL};
  struct scribbler scribbler;
  imgh_status status;
  start_scribbling(&scene, &scribbler);
  status = give(&scene, sink, &scribbler, offset, offset + count / 2, err);
  if (status == 0 && !atomic_flag_test_and_set(&opened->done)) status = commit(&scene, READ, err);
  if (status == 0) status = give(&scene, sink, &scribbler, offset + count / 2, offset + count, err);
  stop_scribbling(&scene, &scribbler);
  return status;
}

static void close_villain(void *ctx) { free(ctx); }

static imgh_status open_villain(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_source **out,
                                imgh_error *err) {
  struct order order;
  struct scene scene = {self->host, call, &order, NULL};
  struct opened *opened;
  TRY(order_of(self, call, request, &order, err));
  TRY(commit(&scene, OPEN, err));
  opened = calloc(1, sizeof *opened);
  if (opened == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory for a source");
  opened->instance = self;
  opened->order = order;
  atomic_flag_clear(&opened->done);
  opened->source.struct_size = sizeof opened->source;
  opened->source.ctx = opened;
  opened->source.size = (int64_t)order.size;
  opened->source.flags = IMGH_SOURCE_RANGED;
  opened->source.read = read_villain;
  opened->source.close = close_villain;
  *out = &opened->source;
  return 0;
}

/* ---- Transfer and unpack ---- */

static imgh_status put(const struct scene *scene, uint64_t offset, uint64_t end, imgh_error *err) {
  char chunk[CHUNK];
  while (offset < end) {
    const size_t part = (size_t)kit_least(end - offset, CHUNK);
    if (scene->host->is_cancelled(scene->call)) return kit_cancelled(err);
    kit_fill(chunk, part, offset, 1);
    TRY(scene->output->write_at(scene->output->ctx, chunk, part, offset, err));
    offset += part;
  }
  return 0;
}

static imgh_status put_all(const struct scene *scene, enum place here, imgh_error *err) {
  const struct order *order = scene->order;
  const uint64_t size = order->size;
  TRY(put(scene, 0, size / 2, err));
  TRY(commit(scene, here, err));
  if (is(order, "wrong-size"))
    TRY(scene->output->set_size(scene->output->ctx, size / 2, err));
  else
    TRY(put(scene, size / 2, size, err));
  return is(order, "no-finish") ? 0 : scene->output->finish(scene->output->ctx, err);
}

static imgh_status write_disk(imgh_instance *self, imgh_call *call, const struct order *order, enum place here,
                              imgh_error *err) {
  struct scene scene = {self->host, call, order, NULL};
  struct scribbler scribbler;
  imgh_status status;
  if (is(order, "claim")) return 0;
  TRY(self->host->open_output(call, 0, order->size, imgh_text(""), &scene.output, err));
  start_scribbling(&scene, &scribbler);
  status = put_all(&scene, here, err);
  stop_scribbling(&scene, &scribbler);
  return status;
}

static imgh_status transfer_villain(imgh_instance *self, imgh_call *call, imgh_str request, imgh_error *err) {
  struct order order;
  TRY(order_of(self, call, request, &order, err));
  return write_disk(self, call, &order, TRANSFER, err);
}

static imgh_status unpack_villain(imgh_instance *self, imgh_call *call, imgh_str request, const imgh_input *in,
                                  imgh_error *err) {
  char chunk[CHUNK];
  struct order order;
  uint64_t offset = 0;
  size_t got;
  TRY(order_of(self, call, request, &order, err));
  if (order.deed == NULL) return imgh_fail(err, IMGH_ERR_INVALID, "villain-deed", "the image has no deed");
  /* The input is only there to be read. */
  do {
    got = 0;
    TRY(in->read_at(in->ctx, chunk, sizeof chunk, offset, &got, err));
    offset += got;
  } while (got > 0);
  return write_disk(self, call, &order, UNPACK, err);
}

/* ---- Tables ---- */

static imgh_status create(const imgh_host *host, imgh_str config, unsigned places_of_kind, imgh_instance **out,
                          imgh_error *err) {
  static const char *const known[] = {"deed", "at", NULL};
  const struct kit_json json = kit_json(config);
  imgh_instance *self;
  struct order order = {NULL, CREATE, 0};
  struct scene scene = {host, NULL, &order, NULL};
  char deed[NAME_BYTES], at[NAME_BYTES];
  if (!kit_only(json, known)) return imgh_fail(err, IMGH_ERR_INVALID, "bad-config", "the keys are deed and at");
  if (kit_string(kit_member(json, "deed"), deed, sizeof deed) && !take_deed(&order, deed)) return misplaced(err);
  if (kit_string(kit_member(json, "at"), at, sizeof at) && !take_place(&order, at)) return misplaced(err);
  if (order.deed != NULL && !(order.at & order.deed->places & (CREATE | STATUS))) return misplaced(err);
  TRY(commit(&scene, CREATE, err));
  if ((self = malloc(sizeof *self)) == NULL) return imgh_fail(err, IMGH_ERR_INTERNAL, "no-memory", "no memory");
  self->host = host;
  self->places = places_of_kind;
  self->configured = order;
  *out = self;
  return 0;
}

static void destroy(imgh_instance *self) { free(self); }

/* A kind: where its deeds are done, how it is known, and its main function. */
#define KIND(kind, places_of_kind, known_by, function)                                                              \
  static imgh_status create_##kind(const imgh_host *host, imgh_str config, imgh_instance **out, imgh_error *err) { \
    return create(host, config, places_of_kind, out, err);                                                          \
  }                                                                                                                 \
  static const imgh_handler kind##_handler = {                                                                      \
      .struct_size = sizeof(imgh_handler),                                                                          \
      .thread_model = IMGH_PARALLEL,                                                                                \
      .info = IMGH_LITERAL("{\"kinds\":[\"" #kind "\"]," known_by "}"),                                              \
      .create = create_##kind,                                                                                      \
      .destroy = destroy,                                                                                           \
      .probe = probe,                                                                                               \
      .status = status,                                                                                             \
      .function = function##_villain,                                                                               \
  };

KIND(source, PROBE | OPEN | READ, "\"id\":\"villain\",\"schemes\":[\"villain\"]", open)
KIND(transfer, PROBE | TRANSFER, "\"id\":\"villain-transfer\",\"schemes\":[\"villain-transfer\"]", transfer)
KIND(unpack, PROBE | UNPACK, "\"id\":\"villain-unpack\",\"formats\":[\"villainous\"]", unpack)

static const imgh_handler *const handlers[] = {&source_handler, &transfer_handler, &unpack_handler};

static const imgh_plugin plugin = {
    .struct_size = sizeof(imgh_plugin),
    .magic = IMGH_MAGIC,
    .abi_major = IMGH_ABI_MAJOR,
    .abi_minor = IMGH_ABI_MINOR,
    .name = IMGH_LITERAL("villain"),
    .version = IMGH_LITERAL("0"),
    .built_with = IMGH_LITERAL("cc"),
    .handlers = handlers,
    .handler_count = 3,
};

const imgh_plugin *imgh_plugin_v0(void) { return &plugin; }
