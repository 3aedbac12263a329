// A stand-in for libvppapiclient.so where no VPP is: the part of its interface that node-vpp uses, with the
// same manners (one connection, blocking calls, a thread that calls back), over an API socket instead of
// shared memory. /dev/shm/<prefix>-vpe-api is not VPP's segment here but says, in words, what is behind it:
//
//   socket PATH         messages go to the API server there; `queue N` bounds what VPP's queue would hold
//   echo                every message is answered here with a control_ping_reply, by a "VPP" that sleeps when
//                       it finds nothing, until stand_in_wake(): whoever forgets the doorbell hangs
//   sleep MS            how long that sleep is at most, default 10
//   connect_ms MS       vac_connect takes so long; `refuse N`: it answers N
//   keepalive_ms MS     as VPP asks its clients; a client that leaves two unanswered is cut off
//   hidden              the queues are nowhere to be found, as in a library of another make
//   decoy               the queues that are to be found are not those in use
//
// The queues lie in memory as VPP's do (svm_queue), and the library's functions for them are here as well.
//
// A queue that is full blocks its writer, as VPP's main thread would block; stand_in_stuffed() counts that.

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

using Message = std::vector<uint8_t>;
using std::chrono::milliseconds;

constexpr uint16_t kKeepalive = 21;
constexpr uint16_t kKeepaliveReply = 22;
constexpr uint16_t kLeave = 0xffff;
constexpr int kVppQueue = 1024;
constexpr int kVppPid = 4711;

void put16(uint8_t* at, uint16_t value) {
  value = htons(value);
  std::memcpy(at, &value, 2);
}
void put32(uint8_t* at, uint32_t value) {
  value = htonl(value);
  std::memcpy(at, &value, 4);
}
uint16_t get16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}
uint32_t get32(const uint8_t* at) {
  return uint32_t{get16(at)} << 16 | get16(at + 2);
}

// As svm_queue: bounded, and who adds to a full one waits.
struct SvmQueue {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int head;
  int tail;
  int waiting;
  int length;
  int element_bytes;
  int pid;
  int event_fds[2];
  uint8_t* elements[1];
};

// A message as VPP keeps it: 16 bytes before it, the size at 8.
uint8_t* allocate(size_t size) {
  auto* memory = static_cast<uint8_t*>(std::calloc(1, 16 + size));
  put32(memory + 8, static_cast<uint32_t>(size));
  return memory + 16;
}

class Queue {
public:
  // The memory before is given back only now: a late look must not be the end of the process.
  void make(int length, int pid) {
    while (queue_ != nullptr && queue_->waiting > 0)
      std::free(take_raw(queue_) - 16);
    std::free(queue_);
    queue_ = static_cast<SvmQueue*>(std::calloc(1, sizeof(SvmQueue) + sizeof(uint8_t*) * static_cast<size_t>(length)));
    pthread_mutex_init(&queue_->mutex, nullptr);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&queue_->changed, &monotonic);
    queue_->length = length;
    queue_->element_bytes = sizeof(uint8_t*);
    queue_->pid = pid;
    closed_ = false;
  }
  SvmQueue* raw() const { return queue_; }
  void add(const Message& message, std::atomic<uint64_t>* stuffed) {
    uint8_t* copy = allocate(message.size());
    std::copy(message.begin(), message.end(), copy);
    pthread_mutex_lock(&queue_->mutex);
    if (queue_->waiting == queue_->length && stuffed != nullptr) (*stuffed)++;
    while (queue_->waiting == queue_->length && !closed_)
      pthread_cond_wait(&queue_->changed, &queue_->mutex);
    if (queue_->waiting < queue_->length) add_raw(queue_, copy);
    else std::free(copy - 16);
    pthread_mutex_unlock(&queue_->mutex);
  }
  bool take(Message* out, milliseconds patience) {
    struct timespec until {};
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += patience.count() / 1000;
    pthread_mutex_lock(&queue_->mutex);
    while (queue_->waiting == 0 && !closed_) {
      if (pthread_cond_timedwait(&queue_->changed, &queue_->mutex, &until) != 0) break;
    }
    bool some = take_locked(out);
    pthread_mutex_unlock(&queue_->mutex);
    return some;
  }
  // Takes without waiting: what VPP does while it is awake.
  bool take_now(Message* out) {
    pthread_mutex_lock(&queue_->mutex);
    bool some = take_locked(out);
    pthread_mutex_unlock(&queue_->mutex);
    return some;
  }
  void close() {
    pthread_mutex_lock(&queue_->mutex);
    closed_ = true;
    pthread_cond_broadcast(&queue_->changed);
    pthread_mutex_unlock(&queue_->mutex);
  }

  static void add_raw(SvmQueue* queue, uint8_t* message) {
    queue->elements[queue->tail] = message;
    queue->tail = (queue->tail + 1) % queue->length;
    __atomic_store_n(&queue->waiting, queue->waiting + 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&queue->changed);
  }
  static uint8_t* take_raw(SvmQueue* queue) {
    uint8_t* message = queue->elements[queue->head];
    queue->head = (queue->head + 1) % queue->length;
    __atomic_store_n(&queue->waiting, queue->waiting - 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&queue->changed);
    return message;
  }

private:
  bool take_locked(Message* out) {
    if (queue_->waiting == 0) return false;
    uint8_t* message = take_raw(queue_);
    out->assign(message, message + get32(message - 8));
    std::free(message - 16);
    return true;
  }

  SvmQueue* queue_ = nullptr;
  std::atomic<bool> closed_{false};
};

// What the library knows of its connection, and VPP's header of the segment.
struct Header {
  int version;
  int pid;
  SvmQueue* vpp;
};
Header header{};
void* api_main_words[40] = {};

struct StandIn {
  std::atomic<bool> connected{false};
  std::atomic<bool> stop{false};
  int fd = -1;
  uint32_t client_index = 0;
  std::unordered_map<std::string, int> table;
  void (*callback)(unsigned char*, int) = nullptr;
  void (*complain)(void*, unsigned char*, int) = nullptr;
  Queue input; // ours, in VPP's segment
  Queue vpp;   // VPP's
  std::thread vpp_thread;
  std::thread vpp_input_thread;
  std::thread rx_thread;
  std::thread keepalive_thread;
  std::atomic<int> unanswered{0};
  std::atomic<uint64_t> answered{0};
  std::atomic<uint64_t> stuffed{0};
  std::mutex write_mutex;
  std::mutex bell_mutex;
  std::condition_variable bell;
  bool rung = false;
};

StandIn& self() {
  static auto* made = new StandIn;
  return *made;
}

void warn(const std::string& text) {
  std::string line = text + "\n";
  if (self().complain != nullptr) {
    self().complain(nullptr, reinterpret_cast<unsigned char*>(line.data()), static_cast<int>(line.size()));
  } else {
    std::fputs(line.c_str(), stderr);
  }
}

bool read_all(int fd, uint8_t* data, size_t size) {
  while (size > 0) {
    ssize_t got = ::recv(fd, data, size, 0);
    if (got <= 0) return false;
    data += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

bool read_frame(int fd, Message* out) {
  uint8_t header[16];
  if (!read_all(fd, header, sizeof header)) return false;
  out->resize(get32(header + 8));
  return read_all(fd, out->data(), out->size());
}

bool write_frame(int fd, const uint8_t* data, size_t size) {
  Message frame(16 + size);
  put32(&frame[8], static_cast<uint32_t>(size));
  std::memcpy(&frame[16], data, size);
  std::lock_guard lock(self().write_mutex);
  for (size_t at = 0; at < frame.size();) {
    ssize_t sent = ::send(fd, &frame[at], frame.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    at += static_cast<size_t>(sent);
  }
  return true;
}

int open_socket(const std::string& path, const char* name) {
  StandIn& all = self();
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  all.fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(all.fd, reinterpret_cast<struct sockaddr*>(&address), sizeof address) != 0) return -1;
  Message create(70);
  put16(create.data(), 15);
  std::strncpy(reinterpret_cast<char*>(&create[6]), name, 63);
  Message reply;
  if (!write_frame(all.fd, create.data(), create.size()) || !read_frame(all.fd, &reply) || reply.size() < 20)
    return -1;
  all.client_index = get32(&reply[14]);
  all.table.clear();
  for (size_t i = 0, at = 20; i < get16(&reply[18]) && at + 66 <= reply.size(); i++, at += 66) {
    const char* key = reinterpret_cast<const char*>(&reply[at + 2]);
    all.table[std::string(key, ::strnlen(key, 64))] = get16(&reply[at]);
  }
  return 0;
}

// VPP, as far as it sends to this client.
void forward() {
  Message message;
  while (!self().stop && read_frame(self().fd, &message))
    self().input.add(message, &self().stuffed);
}

void answer_keepalive() {
  self().unanswered = 0;
  self().answered++;
}

// A client that takes messages itself answers itself, with the index it was asked with.
bool is_keepalive_reply(const Message& message) {
  if (message.size() != 10 || get16(message.data()) != kKeepaliveReply) return false;
  if (get32(&message[2]) == self().client_index) answer_keepalive();
  return true;
}

// VPP, as far as it takes from this client.
void carry() {
  StandIn& all = self();
  Message message;
  while (all.vpp.take(&message, milliseconds(60000)) || !all.stop) {
    if (message.empty() || is_keepalive_reply(message)) continue;
    if (!write_frame(all.fd, message.data(), message.size())) break;
    message.clear();
  }
}

// VPP that answers everything itself, and sleeps.
void echo(milliseconds sleep) {
  StandIn& all = self();
  Message message;
  while (!all.stop) {
    while (!all.stop && all.vpp.take_now(&message)) {
      if (is_keepalive_reply(message)) continue;
      Message reply(18);
      put16(reply.data(), 24);
      std::memcpy(&reply[2], &message[6], 4);
      put32(&reply[14], kVppPid);
      all.input.add(std::move(reply), &all.stuffed);
    }
    std::unique_lock lock(all.bell_mutex);
    all.bell.wait_for(lock, sleep, [&all] { return all.rung || all.stop; });
    all.rung = false;
  }
}

void receive() {
  StandIn& all = self();
  Message message;
  for (;;) {
    if (!all.input.take(&message, milliseconds(60000))) continue;
    uint16_t id = get16(message.data());
    if (id == kLeave && message.size() == 2) return;
    if (id == kKeepalive) {
      answer_keepalive();
      continue;
    }
    uint8_t* copy = allocate(message.size());
    std::copy(message.begin(), message.end(), copy);
    all.callback(copy, static_cast<int>(message.size()));
    std::free(copy - 16);
  }
}

void ask_if_alive(milliseconds every) {
  StandIn& all = self();
  while (!all.stop) {
    std::this_thread::sleep_for(every);
    if (all.unanswered == 2) {
      warn("REAPER: binary API client died");
      if (all.fd >= 0) ::shutdown(all.fd, SHUT_RDWR);
      return;
    }
    all.unanswered++;
    Message ask(10);
    put16(ask.data(), kKeepalive);
    all.input.add(std::move(ask), &all.stuffed);
  }
}

} // namespace

extern "C" {

thread_local void** my_api_main = api_main_words;

int svm_queue_lock(SvmQueue* queue) {
  return pthread_mutex_lock(&queue->mutex);
}
void svm_queue_unlock(SvmQueue* queue) {
  pthread_mutex_unlock(&queue->mutex);
}
int svm_queue_sub_raw(SvmQueue* queue, uint8_t** element) {
  *element = Queue::take_raw(queue);
  return 0;
}
void svm_queue_send_signal(SvmQueue* queue, uint8_t) {
  pthread_cond_broadcast(&queue->changed);
}
void* vl_msg_api_alloc(int size) {
  return allocate(static_cast<size_t>(size));
}
void vac_free(void* message) {
  std::free(static_cast<uint8_t*>(message) - 16);
}

void vac_mem_init(size_t) {}

void vac_set_error_handler(void (*handler)(void*, unsigned char*, int)) {
  self().complain = handler;
}

int vac_connect(char* name, char* prefix, void (*callback)(unsigned char*, int), int queue_length) {
  StandIn& all = self();
  if (all.connected) {
    warn("client already connected...");
    return -1;
  }
  std::ifstream file("/dev/shm/" + std::string(prefix != nullptr ? prefix : "") + "-vpe-api");
  std::string line;
  std::string socket;
  bool answers_itself = false;
  long sleep = 10;
  long keepalive = 0;
  int vpp_queue = kVppQueue;
  bool hidden = false;
  bool decoy = false;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    long number = 0;
    if (word == "socket") words >> socket;
    if (word == "echo") answers_itself = true;
    if (word == "sleep") words >> sleep;
    if (word == "keepalive_ms") words >> keepalive;
    if (word == "queue") words >> vpp_queue;
    if (word == "hidden") hidden = true;
    if (word == "decoy") decoy = true;
    if (word == "connect_ms" && words >> number) std::this_thread::sleep_for(milliseconds(number));
    if (word == "refuse" && words >> number) {
      warn("vl_client_connect: refused, as told");
      return static_cast<int>(number);
    }
  }
  all.stop = false;
  all.unanswered = 0;
  all.callback = callback;
  all.input.make(queue_length, getpid());
  all.vpp.make(vpp_queue, kVppPid);
  if (answers_itself) {
    all.fd = -1;
    all.table = {{"control_ping_51077d14", 23}, {"control_ping_reply_f6b0b8ca", 24}};
    all.vpp_thread = std::thread(echo, milliseconds(sleep));
  } else {
    if (open_socket(socket, name) != 0) {
      warn("memclnt_create_reply timeout");
      if (all.fd >= 0) ::close(all.fd);
      return -1;
    }
    all.vpp_thread = std::thread(forward);
    all.vpp_input_thread = std::thread(carry);
  }
  static auto* shown = new Queue;
  shown->make(queue_length, getpid());
  header = {2, kVppPid, hidden ? nullptr : all.vpp.raw()};
  api_main_words[3] = const_cast<char*>("no address of anything"); // NOLINT
  api_main_words[13] = &header;
  api_main_words[24] = hidden ? nullptr : (decoy ? shown->raw() : all.input.raw());
  api_main_words[25] = reinterpret_cast<void*>(static_cast<uintptr_t>(htonl(all.client_index))); // NOLINT
  all.rx_thread = std::thread(receive);
  if (keepalive > 0) all.keepalive_thread = std::thread(ask_if_alive, milliseconds(keepalive));
  all.connected = true;
  return 0;
}

int vac_disconnect() {
  StandIn& all = self();
  if (!all.connected) return 0;
  all.connected = false;
  if (all.fd >= 0) {
    Message remove(14);
    put16(remove.data(), 17);
    put32(&remove[2], all.client_index);
    put32(&remove[10], all.client_index);
    // Behind everything else; then the peer closes. One that does not is given as long as the real library
    // gives.
    struct timeval patience = {2, 0};
    ::setsockopt(all.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(all.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    all.vpp.add(std::move(remove), nullptr);
  }
  if (all.fd < 0) {
    std::lock_guard lock(all.bell_mutex);
    all.stop = true;
    all.bell.notify_all();
  }
  all.vpp_thread.join();
  all.stop = true;
  all.vpp.close();
  if (all.vpp_input_thread.joinable()) all.vpp_input_thread.join();
  if (all.keepalive_thread.joinable()) all.keepalive_thread.join();
  Message leave(2);
  put16(leave.data(), kLeave);
  all.input.add(std::move(leave), nullptr);
  all.rx_thread.join();
  if (all.fd >= 0) ::close(all.fd);
  all.fd = -1;
  return 0;
}

int vac_write(char* message, int size) {
  StandIn& all = self();
  if (!all.connected) return -3;
  Message copy(message, message + size);
  if (copy.size() >= 6) put32(&copy[2], all.client_index);
  all.vpp.add(std::move(copy), nullptr);
  return 0;
}

int vac_get_msg_index(char* name_crc) {
  auto found = self().table.find(name_crc);
  return found == self().table.end() ? -1 : found->second;
}

int vac_msg_table_size() {
  return static_cast<int>(self().table.size());
}

// Only here: what tests want to do and to know.
void stand_in_wake() {
  StandIn& all = self();
  std::lock_guard lock(all.bell_mutex);
  all.rung = true;
  all.bell.notify_all();
}
uint64_t stand_in_stuffed() {
  return self().stuffed;
}
uint64_t stand_in_keepalives() {
  return self().answered;
}

} // extern "C"
