// The control dialogue as two state machines without I/O: a message and its descriptors go in, messages to
// send and perhaps a verdict come out. One message is under way at a time; the server speaks first.
//
//   server state   message      check                                    next
//   awaiting INIT  INIT         version, id, not busy, mode, secret       building, ACK
//   building       ADD_REGION   next index, size, file, seals; no ring yet building, ACK
//   building       ADD_RING     next index, geometry, eventfd             building, ACK
//   building       CONNECT      a ring each way, cookies, no overlap       connected, CONNECTED
//   connected      DISCONNECT                                             over
//   any            anything else: over (protocol)
//
//   client state       message     next
//   awaiting HELLO     HELLO       INIT sent, awaiting ACK
//   awaiting ACK       ACK         next of ADD_REGION.. ADD_RING.. CONNECT; after the last awaiting CONNECTED
//   awaiting CONNECTED CONNECTED   connected
//   any                DISCONNECT  over (the peer refused, with its words)

#pragma once

#include <functional>

#include "memif/session.h"
#include "sys/seqpacket.h"

namespace nodevpp::memif {

struct Outgoing {
  Message message;
  int fd = -1; // borrowed from the session
};

struct Step {
  std::vector<Outgoing> send;
  std::optional<Failure> over; // after sending, close for this reason
  bool connected = false;      // this step completed the handshake
};

// What the server needs to know of the interface a client asks for.
struct Target {
  const InterfaceOptions* options = nullptr; // null: no such id
  bool busy = false;
};

class ServerHandshake {
public:
  // `find` is asked once, with the id of INIT; `claimed` is told when the client has been let in.
  ServerHandshake(Hello hello, std::function<Target(uint32_t id)> find)
      : hello_(std::move(hello)), find_(std::move(find)) {}

  Step start();
  Step receive(sys::ReceivedMessage& received);

  // The interface a client asked for, once INIT has come and there is one.
  const std::optional<uint32_t>& id() const { return id_; }
  Session take_session() { return std::move(session_); }

private:
  enum class State : uint8_t { awaiting_init, building, connected, over };

  Step refuse(Reason reason, std::string text, sys::SysError error = {});
  Step init(const uint8_t* message);
  Step add_region(const AddRegion& wanted, sys::ForeignFd fd);
  Step add_ring(const AddRing& wanted, sys::ForeignFd fd);
  Step connect(const uint8_t* message);
  std::optional<std::string> overlap() const;

  Hello hello_;
  std::function<Target(uint32_t)> find_;
  State state_ = State::awaiting_init;
  std::optional<uint32_t> id_;
  InterfaceOptions options_;
  Session session_;
  uint64_t total_size_ = 0;
};

class ClientHandshake {
public:
  // `memory` may be null: then the client makes packet memory of its own.
  ClientHandshake(const InterfaceOptions& options, std::shared_ptr<PacketMemory> memory)
      : options_(options), memory_(std::move(memory)) {}
  ~ClientHandshake();
  ClientHandshake(const ClientHandshake&) = delete;
  ClientHandshake& operator=(const ClientHandshake&) = delete;

  Step receive(sys::ReceivedMessage& received);

  Session take_session() { return std::move(session_); }
  // Offsets of the packet buffers, in the order of the rings: all S2M slots, then all M2S slots.
  const std::vector<uint32_t>& buffers() const { return buffers_; }
  const std::shared_ptr<PacketMemory>& memory() const { return memory_; }

private:
  enum class State : uint8_t { awaiting_hello, awaiting_ack, awaiting_connected, connected, over };

  Step refuse(Reason reason, std::string text, sys::SysError error = {});
  Step hello(const uint8_t* message);
  Failure allocate(uint16_t s2m_rings, uint16_t m2s_rings, uint8_t log2);
  Step next();

  InterfaceOptions options_;
  std::shared_ptr<PacketMemory> memory_;
  std::vector<uint32_t> buffers_;
  State state_ = State::awaiting_hello;
  Session session_;
  size_t sent_ = 0; // how many of the regions, rings and CONNECT have been sent
};

} // namespace nodevpp::memif
