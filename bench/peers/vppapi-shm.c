// The raw loop over VPP's shared memory that the benchmark is compared with: VPP's own client library, loaded at run
// time, one thread, a doorbell as node-vpp has one, no objects.
//
//   vppapi-shm LIBRARY PREFIX SOCKET send HEX WINDOW COUNT ADDRESS_OFFSET
//
// The message COUNT times, at most WINDOW unanswered; prints seconds, and p50 and p99 of the replies in microseconds
// (WINDOW 1). HEX is a whole message; a context is put in at offset 6, and at ADDRESS_OFFSET, unless it is -1, a
// counter (an IPv4 address that grows).

#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int (*vac_connect) (char *, char *, void *, int);
static int (*vac_disconnect) (void);
static int (*vac_read) (char **, int *, unsigned short);
static int (*vac_write) (char *, int);
static void (*vac_free) (void *);
static void (*vac_mem_init) (size_t);

static int bell;
static uint8_t frame[26];
static size_t next_byte;

static double now (void) {
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die (const char *what) {
  fprintf (stderr, "%s\n", what);
  exit (1);
}

static void put32 (uint8_t *p, uint32_t v) {
  v = htonl (v);
  memcpy (p, &v, 4);
}

static void read_all (uint8_t *p, size_t n) {
  while (n > 0) {
    ssize_t got = read (bell, p, n);
    if (got <= 0)
      die ("the doorbell was closed");
    p += got;
    n -= (size_t) got;
  }
}

static void open_bell (const char *path) {
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  static uint8_t create[16 + 70], header[16], reply[1 << 20];
  strncpy (address.sun_path, path, sizeof address.sun_path - 1);
  bell = socket (AF_UNIX, SOCK_STREAM, 0);
  if (connect (bell, (struct sockaddr *) &address, sizeof address) != 0)
    die ("connect");
  put32 (create + 8, 70);
  create[17] = 15;
  strcpy ((char *) create + 22, "bell");
  if (write (bell, create, sizeof create) != sizeof create)
    die ("write");
  read_all (header, sizeof header);
  uint32_t size;
  memcpy (&size, header + 8, 4);
  read_all (reply, ntohl (size));
  put32 (frame + 8, 10);
  frame[17] = 23;
  memcpy (frame + 18, reply + 14, 4);
}

static void ring (void) {
  uint8_t unwanted[64];
  if (next_byte == 0)
    recv (bell, unwanted, sizeof unwanted, MSG_DONTWAIT);
  if (send (bell, frame + next_byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
    next_byte = (next_byte + 1) % sizeof frame;
}

static void close_bell (void) {
  uint8_t message[16 + 14] = { 0 }, unwanted[64];
  if (next_byte > 0 && write (bell, frame + next_byte, sizeof frame - next_byte) < 0)
    die ("write");
  put32 (message + 8, 14);
  message[17] = 17;
  memcpy (message + 18, frame + 18, 4);
  memcpy (message + 26, frame + 18, 4);
  if (write (bell, message, sizeof message) != sizeof message)
    die ("write");
  while (read (bell, unwanted, sizeof unwanted) > 0) {}
  close (bell);
}

static int compare (const void *a, const void *b) {
  double x = *(const double *) a, y = *(const double *) b;
  return x < y ? -1 : x > y;
}

int main (int argc, char **argv) {
  if (argc != 9)
    die ("usage: vppapi-shm LIBRARY PREFIX SOCKET send HEX WINDOW COUNT ADDRESS_OFFSET");
  void *library = dlopen (argv[1], RTLD_NOW);
  if (library == NULL)
    die (dlerror ());
  *(void **) &vac_connect = dlsym (library, "vac_connect");
  *(void **) &vac_disconnect = dlsym (library, "vac_disconnect");
  *(void **) &vac_read = dlsym (library, "vac_read");
  *(void **) &vac_write = dlsym (library, "vac_write");
  *(void **) &vac_free = dlsym (library, "vac_free");
  *(void **) &vac_mem_init = dlsym (library, "vac_mem_init");
  uint8_t message[4096];
  int size = (int) strlen (argv[5]) / 2;
  for (int i = 0; i < size; i++) {
    unsigned byte;
    sscanf (argv[5] + 2 * i, "%2x", &byte);
    message[i] = (uint8_t) byte;
  }
  long window = atol (argv[6]), count = atol (argv[7]), offset = atol (argv[8]);
  double *took = window == 1 ? malloc (sizeof *took * (size_t) count) : NULL;

  vac_mem_init (64 << 20);
  open_bell (argv[3]);
  if (vac_connect ("c-peer", argv[2][0] ? argv[2] : NULL, NULL, 1024) != 0)
    die ("vac_connect");
  long sent = 0, received = 0, covered = 0;
  double began = now ();
  while (received < count) {
    double asked = took ? now () : 0;
    while (sent < count && sent - received < window) {
      put32 (message + 6, (uint32_t) sent);
      if (offset >= 0)
        put32 (message + offset, 0x0a000000u + (uint32_t) sent);
      if (vac_write ((char *) message, size) != 0)
        die ("vac_write");
      sent++;
      if (received >= covered) { // VPP may sleep: all it was rung for has been answered
        covered = sent;
        ring ();
      }
    }
    // Down to half the window, so that both sides work in strides.
    do {
      char *reply;
      int length;
      if (sent > covered && received >= covered) {
        covered = sent;
        ring ();
      }
      if (vac_read (&reply, &length, 0) != 0)
        die ("vac_read");
      vac_free (reply);
      received++;
    } while (received < count && sent - received > window / 2);
    if (took)
      took[received - 1] = now () - asked;
  }
  double seconds = now () - began;
  vac_disconnect ();
  close_bell ();
  double p50 = 0, p99 = 0;
  if (took) {
    qsort (took, (size_t) count, sizeof *took, compare);
    p50 = took[count / 2] * 1e6;
    p99 = took[count * 99 / 100] * 1e6;
  }
  printf ("%.6f %.2f %.2f\n", seconds, p50, p99);
  return 0;
}
