// What is small but adds up: connections come and go, and nothing of them stays.

#include <gtest/gtest.h>

#include "echo.h"
#include "support.h"

namespace nodevpp::memif {
namespace {

using test::Echo;
using test::EpollPoller;
using test::RawPeer;
using test::Witness;

TEST(Endurance, AThousandConnectionsLeaveNothingBehind) {
  EpollPoller poller;
  std::string name = test::unique_name();
  Witness server_sees;
  Witness client_sees;
  Listener listener{poller, "server", test::kHandshakeMs, 64};
  Interface server{poller, server_sees, test::server_options(), test::kHandshakeMs};
  Interface client{poller, client_sees, test::client_options(), test::kHandshakeMs};
  sys::ListenOutcome outcome{};
  ASSERT_FALSE(listener.listen(test::address_of(name), {}, &outcome));
  ASSERT_TRUE(listener.attach(server));
  size_t cycles = std::max(100u, test::scaled(1000));
  test::Holdings before;
  size_t resident = 0;
  for (size_t i = 0; i < cycles; i++) {
    ASSERT_FALSE(client.connect(test::address_of(name)));
    ASSERT_TRUE(poller.run_until([&] { return server_sees.ups == i + 1 && client_sees.ups == i + 1; }));
    {
      Echo a;
      Echo b;
      a.start(server);
      b.start(client);
      ASSERT_EQ(b.send(32), 32u);
      a.work();
      ASSERT_EQ(b.take(), 32u);
    }
    // Each side hangs up in its turn, or a third just talks and leaves.
    (i % 2 == 0 ? client : server).disconnect({Reason::closed, "enough", {}});
    ASSERT_TRUE(poller.run_until([&] { return !server.busy() && !client.busy(); }));
    if (i % 3 == 0) RawPeer::to(name).send(emit_ack());
    poller.settle();
    if (i == cycles / 10) {
      before = test::holdings();
      resident = test::resident_bytes();
    }
  }
  EXPECT_TRUE(poller.run_until([&] { return listener.pending() == 0; }));
  EXPECT_EQ(test::holdings(), before);
  if (test::instrumented()) return; // these keep memory for their own purposes
  EXPECT_LT(test::resident_bytes(), resident + (1 << 20));
}

} // namespace
} // namespace nodevpp::memif
