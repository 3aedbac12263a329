// The raw loop that the API benchmark is compared with: no library, no objects, one socket, one thread.
//
//   vppapi SOCKET send HEX WINDOW COUNT ADDRESS_OFFSET    the message COUNT times, at most WINDOW unanswered; prints
//                                                         seconds, and p50 and p99 of the replies in microseconds
//   vppapi SOCKET dump HEX PING_HEX                       the message, then the ping; prints seconds, messages, bytes
//
// HEX is a whole message; client index and context are put in at offsets 2 and 6, and at ADDRESS_OFFSET, unless it is
// -1, a counter (an IPv4 address that grows).

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 16, CREATE_REPLY = 16, DELETE = 17 };

static int fd;
static uint32_t client_index;
static uint8_t in[1 << 20];
static size_t in_start, in_end;

static double now (void) {
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die (const char *what) {
  perror (what);
  exit (1);
}

static void put32 (uint8_t *p, uint32_t v) {
  v = htonl (v);
  memcpy (p, &v, 4);
}

static uint32_t get32 (const uint8_t *p) {
  uint32_t v;
  memcpy (&v, p, 4);
  return ntohl (v);
}

static void write_all (const uint8_t *p, size_t n) {
  while (n > 0) {
    ssize_t w = write (fd, p, n);
    if (w <= 0)
      die ("write");
    p += w;
    n -= (size_t) w;
  }
}

// The next whole message in the buffer, or 0 when more has to be read.
static uint8_t *next_message (uint32_t *size) {
  if (in_end - in_start < HEADER)
    return 0;
  uint32_t length = get32 (in + in_start + 8);
  if (in_end - in_start < HEADER + (size_t) length)
    return 0;
  uint8_t *message = in + in_start + HEADER;
  in_start += HEADER + (size_t) length;
  *size = length;
  return message;
}

static void fill (void) {
  if (in_start > 0) {
    memmove (in, in + in_start, in_end - in_start);
    in_end -= in_start;
    in_start = 0;
  }
  ssize_t n = read (fd, in + in_end, sizeof in - in_end);
  if (n <= 0)
    die ("read");
  in_end += (size_t) n;
}

static uint8_t *receive (uint32_t *size) {
  uint8_t *message;
  while (!(message = next_message (size)))
    fill ();
  return message;
}

static size_t from_hex (const char *hex, uint8_t *frame) {
  size_t n = strlen (hex) / 2;
  memset (frame, 0, HEADER);
  put32 (frame + 8, (uint32_t) n);
  for (size_t i = 0; i < n; i++) {
    unsigned byte;
    sscanf (hex + 2 * i, "%2x", &byte);
    frame[HEADER + i] = (uint8_t) byte;
  }
  put32 (frame + HEADER + 2, client_index);
  return HEADER + n;
}

static int compare (const void *a, const void *b) {
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static void run_send (const char *hex, int window, long count, int address_offset) {
  static uint8_t frame[4096];
  size_t size = from_hex (hex, frame);
  uint8_t *out = malloc (size * (size_t) window);
  double *sent_at = malloc (sizeof (double) * (size_t) count), *took = malloc (sizeof (double) * (size_t) count);
  long sent = 0, done = 0;
  double began = now ();
  while (done < count) {
    size_t at = 0;
    double when = now ();
    while (sent < count && sent - done < window) {
      uint8_t *p = out + at;
      memcpy (p, frame, size);
      put32 (p + HEADER + 6, (uint32_t) sent);
      if (address_offset >= 0)
        put32 (p + HEADER + address_offset, 0x0a000000u + (uint32_t) sent);
      sent_at[sent++] = when;
      at += size;
    }
    if (at > 0)
      write_all (out, at);
    uint32_t length;
    uint8_t *message = receive (&length);
    double got = now ();
    while (message) {
      took[done] = got - sent_at[get32 (message + 2)];
      done++;
      message = next_message (&length);
    }
  }
  double seconds = now () - began;
  qsort (took, (size_t) count, sizeof (double), compare);
  printf ("%.6f %.2f %.2f\n", seconds, took[count / 2] * 1e6, took[count * 99 / 100] * 1e6);
}

static void run_dump (const char *hex, const char *ping_hex) {
  static uint8_t frame[4096], ping[4096];
  size_t size = from_hex (hex, frame), ping_size = from_hex (ping_hex, ping);
  put32 (frame + HEADER + 6, 7);
  put32 (ping + HEADER + 6, 8);
  double began = now ();
  write_all (frame, size);
  write_all (ping, ping_size);
  long rows = 0, bytes = 0;
  for (;;) {
    uint32_t length;
    uint8_t *message = receive (&length);
    if (get32 (message + 2) == 8)
      break;
    rows++;
    bytes += length;
  }
  printf ("%.6f %ld %ld\n", now () - began, rows, bytes);
}

int main (int argc, char **argv) {
  if (argc < 5) {
    fprintf (stderr, "usage: vppapi SOCKET send HEX WINDOW COUNT ADDRESS_OFFSET | SOCKET dump HEX PING_HEX\n");
    return 2;
  }
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  strncpy (address.sun_path, argv[1], sizeof address.sun_path - 1);
  fd = socket (AF_UNIX, SOCK_STREAM, 0);
  if (connect (fd, (struct sockaddr *) &address, sizeof address) != 0)
    die ("connect");
  uint8_t create[HEADER + 70] = { 0 };
  put32 (create + 8, 70);
  create[HEADER + 1] = 15;
  memcpy (create + HEADER + 6, "raw-c", 5);
  write_all (create, sizeof create);
  uint32_t size;
  uint8_t *reply = receive (&size);
  if (reply[1] != CREATE_REPLY)
    die ("sockclnt_create");
  client_index = get32 (reply + 14);
  if (strcmp (argv[2], "send") == 0 && argc == 7)
    run_send (argv[3], atoi (argv[4]), atol (argv[5]), atoi (argv[6]));
  else if (strcmp (argv[2], "dump") == 0)
    run_dump (argv[3], argv[4]);
  else
    return 2;
  // Leaving in good order, as VPP needs it: sockclnt_delete, then to the end of the file.
  uint8_t leave[HEADER + 14] = { 0 };
  put32 (leave + 8, 14);
  leave[HEADER + 1] = DELETE;
  put32 (leave + HEADER + 2, client_index);
  put32 (leave + HEADER + 10, client_index);
  write_all (leave, sizeof leave);
  while (read (fd, in, sizeof in) > 0)
    ;
  return 0;
}
