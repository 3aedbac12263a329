// Connection: whether VPP's queues may be used without the library's calls. Nothing is believed of them
// before.

#include <array>
#include <thread>

#include "vppapi/connection.h"
#include "vppapi/wire.h"

namespace nodevpp::vppapi {
namespace {

using std::chrono::milliseconds;

// Of the proof's pings: a generation that the owner's contexts never have.
constexpr uint32_t kProofContext = 0xfffdfffe;
constexpr int kProofMs = 3000;

bool is_proof(const uint8_t* message, uint32_t size) {
  return size == 18 && get16(message) == kPingReply && get32(message + 2) == kProofContext;
}

} // namespace

// Whether the queues are where they seem to be, and what they seem to be. The answer to one ping parks the
// library's thread, and shows where sizes are. The answers to two more are taken by the library's own
// function from where `take` would have taken them. The last two are put in by hand, and their answers taken
// so.
bool Connection::prove() {
  if (!queues_.find(library_, options_.queue_length)) return false;
  auto until = Clock::now() + milliseconds(kProofMs);
  auto eventually = [until](const auto& condition) {
    while (!condition()) {
      if (Clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    return true;
  };
  std::array<uint8_t, 20> pings{0, kPing, 0, 0, 0, 0, 0xff, 0xfd, 0xff, 0xfe,
                                0, kPing, 0, 0, 0, 0, 0xff, 0xfd, 0xff, 0xfe};
  const std::array<uint32_t, 2> sizes{10, 10};
  auto ping = [&](bool by_hand) {
    uint32_t count = by_hand ? 2 : 1;
    proving_ += count;
    uint32_t written = by_hand ? write(pings.data(), sizes.data(), count)
                               : (library_.write(reinterpret_cast<char*>(pings.data()), 10) == 0 ? 1 : 0);
    bell_.ring();
    return written == count;
  };
  std::array<uint8_t*, 2> messages{};
  auto answered = [&](bool taken) {
    for (uint8_t* message : messages) {
      if (!taken || !is_proof(message, Queues::size_of(message))) return false;
      library_.free(message);
      proving_--;
    }
    return true;
  };
  Queue& inbox = queues_.inbox;
  auto both_there = [&] { return inbox.waiting() == 2; };
  direct_ = true;
  awake_ = true;
  bool proven = ping(false) && eventually([this] { return reader_ == Reader::kParked || !direct_; }) &&
                direct_ && inbox.waiting() == 0 && ping(false) && ping(false) && eventually(both_there) &&
                answered(inbox.take_both_ways(messages.data(), 2)) && ping(true) && eventually(both_there) &&
                answered(inbox.take(messages.data(), 2) == 2) && inbox.waiting() == 0;
  rest();
  return eventually([this] { return reader_ == Reader::kThread; }) && proven;
}

// The library's thread has got a message while a proof is under way.
bool Connection::prove(const uint8_t* message, uint32_t size) {
  if (!is_proof(message, size)) return false;
  proving_--;
  if (Queues::size_of(message) != size)
    direct_ = false;
  else if (awake_)
    park();
  return true;
}

} // namespace nodevpp::vppapi
