// What the tests of both sides of the control dialogue share: messages in, verdicts out, and a fixture that
// accounts for every descriptor and mapping.

#pragma once

#include <gtest/gtest.h>

#include "memif/handshake.h"
#include "support.h"

namespace nodevpp::test {

// Fails the test when descriptors or mappings are left behind.
class HandshakeTest : public testing::Test {
protected:
  void SetUp() override {
    sys::drains_at_once(make_eventfd().get()); // what a thread keeps for ringing is not a leak
    before_ = holdings();
  }
  void TearDown() override { EXPECT_EQ(holdings(), before_); }

private:
  Holdings before_;
};

template<typename Handshake>
memif::Step receive(Handshake& handshake, const memif::Message& message, std::vector<sys::Fd> fds = {}) {
  auto given = received(message, std::move(fds));
  return handshake.receive(given);
}

inline void expect_refused(const memif::Step& step, memif::Reason reason, const std::string& words) {
  ASSERT_TRUE(step.over);
  EXPECT_STREQ(memif::reason_name(step.over->reason), memif::reason_name(reason)) << step.over->text;
  EXPECT_NE(step.over->text.find(words), std::string::npos) << step.over->text;
  EXPECT_FALSE(step.connected);
  if (reason == memif::Reason::peer_refused) {
    EXPECT_TRUE(step.send.empty());
  } else {
    // The peer is told in the same words.
    ASSERT_EQ(step.send.size(), 1u);
    ASSERT_EQ(type_of(step.send[0].message), 8);
    EXPECT_EQ(memif::parse_disconnect(step.send[0].message.data()).text, step.over->text.substr(0, 95));
  }
}

} // namespace nodevpp::test
