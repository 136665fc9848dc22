// The allocator of HTTP/2 sessions, by itself and under sessions.
#include "proxy/http/h2_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/http/h2_packed_page.h"
#include "tests/support/fake_transport.h"
#include "tests/support/h2_peer.h"
#include "tests/support/h2_test_client.h"
#include "tests/support/run_until.h"

namespace pillion::http {
namespace {

using testing::FakeTransport;
using testing::H2Peer;
using testing::H2TestClient;
using testing::run_until;

char* bytes_of(void* block) { return static_cast<char*>(block); }

bool holds(const void* block, size_t size, char c) {
  const char* text = static_cast<const char*>(block);
  return std::all_of(text, text + size, [c](char x) { return x == c; });
}

TEST(H2Memory, CountsWhatIsLiveAndKeepsContentsWhenBlocksGrow) {
  const size_t before = H2Memory::usage().blocks;
  H2Memory memory;
  for (const size_t size :
       {0u, 1u, 16u, 17u, 255u, 256u, 257u, 320u, 321u, 1024u, 5000u, 8192u, 8193u, 70000u}) {
    void* block = H2Memory::allocate(size, &memory);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 8, 0u);
    EXPECT_GE(memory.live(), size);
    EXPECT_LE(memory.live(), size + size / 4 + 16) << "little is lost";
    EXPECT_EQ(H2Memory::usage().blocks, before + memory.live());
    std::memset(block, 'x', size);
    block = H2Memory::resize(block, 3 * size + 1, &memory);
    EXPECT_TRUE(holds(block, size, 'x')) << size;
    std::memset(block, 'y', 3 * size + 1);
    block = H2Memory::resize(block, size, &memory);
    EXPECT_TRUE(holds(block, size, 'y')) << size;
    H2Memory::release(block, &memory);
    EXPECT_EQ(memory.live(), 0u);
  }
  H2Memory::release(nullptr, &memory);
  void* zeros = H2Memory::allocate_zeroed(7, 100, &memory);
  EXPECT_TRUE(holds(zeros, 700, '\0'));
  H2Memory::release(zeros, &memory);
  EXPECT_EQ(H2Memory::usage().blocks, before);
}

TEST(H2Memory, KeepsABoundedAmountForReuse) {
  H2Memory::trim_free_lists();
  EXPECT_EQ(H2Memory::usage().kept, 0u);
  H2Memory memory;
  for (const size_t size : {16u, 200u, 4096u, 9000u}) {
    std::vector<void*> blocks(10'000);
    for (void*& block : blocks) block = H2Memory::allocate(size, &memory);
    for (void* block : blocks) H2Memory::release(block, &memory);
  }
  EXPECT_LE(H2Memory::usage().kept, 3 * H2Memory::kKeptBytes);
  H2Memory::trim_free_lists();
  EXPECT_EQ(H2Memory::usage().kept, 0u);
}

TEST(H2Memory, GivesTheTableOfARestingSessionBackOnceItIsZeros) {
  H2Memory memory;
  void* table = H2Memory::allocate_zeroed(256, 16, &memory);
  EXPECT_TRUE(holds(table, 4096, '\0'));
  EXPECT_EQ(memory.live(), 0u) << "nobody wrote to it";
  bytes_of(table)[4095] = 1;
  memory.rest();
  EXPECT_TRUE(H2Memory::has_resting());
  EXPECT_EQ(memory.live(), 4096u);
  EXPECT_FALSE(H2Memory::sweep());
  EXPECT_FALSE(H2Memory::has_resting());
  EXPECT_EQ(memory.live(), 4096u) << "it has something in it";
  EXPECT_EQ(bytes_of(table)[4095], 1);
  bytes_of(table)[4095] = 0;
  memory.rest();
  H2Memory::sweep();
  EXPECT_EQ(memory.live(), 0u);
  EXPECT_TRUE(holds(table, 4096, '\0'));
  bytes_of(table)[0] = 1;
  H2Memory::release(table, &memory);
  EXPECT_EQ(H2Memory::usage().pages, 0u);
  void* next = H2Memory::allocate_zeroed(256, 16, &memory);
  EXPECT_TRUE(holds(next, 4096, '\0')) << "reused, and zeros all the same";
  H2Memory::release(next, &memory);
}

// As the map of nghttp2 does it: the larger one is there before the other goes.
TEST(H2Memory, TablesGrowAndAreGivenBackAtAnySize) {
  H2Memory first, second;
  std::vector<H2Memory*> both = {&first, &second};
  std::vector<void*> tables;
  for (H2Memory* memory : both) tables.push_back(H2Memory::allocate_zeroed(256, 16, memory));
  for (size_t slots = 512; slots <= 4096; slots *= 2) {
    for (size_t i = 0; i < both.size(); ++i) {
      void* larger = H2Memory::allocate_zeroed(slots, 16, both[i]);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(larger) % H2Memory::kPageBytes, 0u);
      EXPECT_TRUE(holds(larger, slots * 16, '\0'));
      H2Memory::release(std::exchange(tables[i], larger), both[i]);
      std::memset(larger, 'x', slots * 16);
      both[i]->rest();
      EXPECT_EQ(both[i]->live(), slots * 16);
    }
    EXPECT_EQ(H2Memory::usage().pages, 2 * slots * 16);
  }
  H2Memory::sweep();
  EXPECT_EQ(first.live(), 65536u) << "it is in use";
  std::memset(tables[0], 0, 65536);
  first.rest();
  H2Memory::sweep();
  EXPECT_EQ(first.live(), 0u);
  EXPECT_EQ(second.live(), 65536u);
  for (size_t i = 0; i < both.size(); ++i) H2Memory::release(tables[i], both[i]);
  EXPECT_EQ(H2Memory::usage().pages, 0u);
}

// What nghttp2 does not do: a third at a time is a block like others.
TEST(H2Memory, MoreTablesThanOneThatGrowsAreBlocks) {
  H2Memory memory;
  void* table = H2Memory::allocate_zeroed(256, 16, &memory);
  void* larger = H2Memory::allocate_zeroed(512, 16, &memory);
  void* block = H2Memory::allocate_zeroed(1024, 16, &memory);
  EXPECT_GE(memory.live(), 16384u);
  EXPECT_TRUE(holds(block, 16384, '\0'));
  std::memset(larger, 'x', 8192);
  H2Memory::release(block, &memory);
  EXPECT_EQ(memory.live(), 0u);
  H2Memory::release(larger, &memory);
  void* again = H2Memory::allocate_zeroed(512, 16, &memory);
  EXPECT_TRUE(holds(again, 8192, '\0'));
  H2Memory::release(table, &memory);
  H2Memory::release(again, &memory);
}

TEST(H2Memory, SweepsManySessionsInPortions) {
  std::vector<std::unique_ptr<H2Memory>> all(1200);
  std::vector<void*> tables;
  for (auto& memory : all) {
    memory = std::make_unique<H2Memory>();
    tables.push_back(H2Memory::allocate_zeroed(256, 16, memory.get()));
    memory->rest();
  }
  int times = 1;
  while (H2Memory::sweep()) ++times;
  EXPECT_EQ(times, 3);
  EXPECT_EQ(H2Memory::usage().pages, 0u);
  for (size_t i = 0; i < all.size(); ++i) H2Memory::release(tables[i], all[i].get());
}

TEST(H2PackedPage, IsTheSameAgainWhenUnpacked) {
  uint32_t random = 1;
  for (const uint32_t of_100 : {0u, 1u, 10u, 50u, 99u, 100u}) {
    alignas(8) char page[H2PackedPage::kPage] = {};
    size_t words = 0;
    for (size_t at = 0; at < sizeof page; at += 4) {
      random = random * 1664525 + 1013904223;
      if ((random >> 8) % 100 >= of_100) continue;
      const uint32_t word = random | 1;
      std::memcpy(page + at, &word, sizeof word);
      ++words;
    }
    const size_t size = H2PackedPage::bytes(page);
    EXPECT_EQ(size, 128 + 4 * words);
    std::vector<char> packed(size + 1, 'x');
    H2PackedPage::pack(page, packed.data());
    EXPECT_EQ(packed.back(), 'x');
    char again[sizeof page] = {};
    H2PackedPage::unpack(packed.data(), again);
    EXPECT_EQ(std::memcmp(page, again, sizeof page), 0) << of_100;
  }
}

// Of what is allocated while a session is made, in the order of nghttp2.
TEST(H2Memory, PutsTheSessionIntoAPageThatGoesWhileItSleeps) {
  const H2Memory::Usage before = H2Memory::usage();
  uint32_t in_use = 1;
  H2Memory memory(in_use);
  char *session, *ring, *second;
  {
    H2Memory::Building building(memory);
    session = bytes_of(H2Memory::allocate_zeroed(1, 2928, &memory));
    ring = bytes_of(H2Memory::allocate(1024, &memory));
    second = bytes_of(H2Memory::allocate(1024, &memory));
  }
  EXPECT_TRUE(holds(session, 2928, '\0'));
  EXPECT_EQ(memory.live(), 4096u + 1024);
  EXPECT_EQ(H2Memory::usage().pages, before.pages + 4096);
  session[0] = session[2927] = 's';
  ring[0] = ring[1023] = 'r';
  std::memset(ring + 1, '\0', 1022);
  std::memset(second, '2', 1024);
  memory.rest();
  H2Memory::sweep();
  EXPECT_FALSE(memory.is_asleep()) << "it is in use";
  in_use = 0;
  memory.rest();
  H2Memory::sweep();
  EXPECT_TRUE(memory.is_asleep());
  EXPECT_LT(memory.live(), 1024u + 200);
  EXPECT_EQ(H2Memory::usage().pages, before.pages);
  EXPECT_TRUE(holds(second, 1024, '2'));
  memory.wake();
  EXPECT_FALSE(memory.is_asleep());
  EXPECT_EQ(memory.live(), 4096u + 1024);
  EXPECT_EQ(session[0], 's');
  EXPECT_TRUE(holds(session + 1, 2926, '\0'));
  EXPECT_EQ(session[2927], 's');
  EXPECT_EQ(ring[0], 'r');
  EXPECT_TRUE(holds(ring + 1, 1022, '\0'));
  EXPECT_EQ(ring[1023], 'r');
  std::memset(session, 'x', 2928);
  std::memset(ring, 'x', 1024);
  EXPECT_TRUE(H2Memory::has_resting()) << "whoever is woken falls asleep again";
  H2Memory::sweep();
  EXPECT_FALSE(memory.is_asleep()) << "it would save too little";
  for (void* block : {session, ring, second}) H2Memory::release(block, &memory);
  EXPECT_EQ(memory.live(), 4096u);
}

class SharedFrame : public ::testing::Test {
 protected:
  struct Session {
    H2Memory memory;
    char* frame = nullptr;
    ~Session() { H2Memory::release(frame, &memory); }
    void make() { frame = bytes_of(H2Memory::resize(nullptr, H2Memory::kFrameBytes, &memory)); }
    void write(char x) { std::memset(frame, x, H2Memory::kFrameBytes); }
    [[nodiscard]] bool has(char x) const { return holds(frame, H2Memory::kFrameBytes, x); }
  };
  Session a, b, c;
};

TEST_F(SharedFrame, IsOneForAllAndComesBackToWhomItWasTakenFrom) {
  {
    H2Memory::Sending sending(a.memory);
    a.make();
    a.write('a');
  }
  EXPECT_EQ(a.memory.live(), 0u);
  {
    H2Memory::Sending sending(b.memory);
    b.make();
    EXPECT_EQ(a.frame, b.frame);
    b.write('b');
  }
  {
    H2Memory::Sending sending(a.memory);
    EXPECT_TRUE(a.has('a')) << "its frame was not complete";
    sending.set_complete(true);
  }
  {
    H2Memory::Sending sending(b.memory);
    EXPECT_TRUE(b.has('b'));
    // Another one sends meanwhile, and does not end its frame either.
    {
      H2Memory::Sending inner(c.memory);
      c.make();
      c.write('c');
    }
    EXPECT_TRUE(b.has('b'));
    {
      H2Memory::Sending inner(a.memory);
      a.write('A');
      inner.set_complete(true);
    }
    EXPECT_TRUE(b.has('b'));
    sending.set_complete(true);
  }
  H2Memory::Sending sending(c.memory);
  EXPECT_TRUE(c.has('c'));
}

TEST_F(SharedFrame, IsNotGivenASecondTimeToOneSession) {
  H2Memory::Sending sending(a.memory);
  a.make();
  void* more = H2Memory::resize(nullptr, H2Memory::kFrameBytes, &a.memory);  // a CONTINUATION's
  EXPECT_NE(more, a.frame);
  H2Memory::release(more, &a.memory);
  a.write('a');
  char* larger = bytes_of(H2Memory::resize(a.frame, 20'000, &a.memory));
  EXPECT_TRUE(holds(larger, H2Memory::kFrameBytes, 'a'));
  a.frame = larger;
}

// ---- under sessions ----

class SessionMemory : public ::testing::Test {
 protected:
  struct Pair {
    std::unique_ptr<H2TestClient> client;
    std::unique_ptr<H2Peer> server;
  };
  // `window`: what fits into the wire.
  Pair make(size_t window) {
    auto [a, b] = FakeTransport::make_pair(loop);
    a->window = b->window = window;
    return {std::make_unique<H2TestClient>(batch, std::move(a), H2Options{}),
            std::make_unique<H2Peer>(loop, batch, std::move(b))};
  }
  io::Loop loop;
  io::WriteBatch batch{loop};
};

// All of them stand in the middle of a frame again and again: of DATA, and of heads that go on in
// CONTINUATION.
TEST_F(SessionMemory, OfSessionsThatStallInTheMiddleOfFramesIsNotMixedUp) {
  constexpr size_t kPairs = 12;
  constexpr size_t kBody = 300'000;
  std::vector<Pair> pairs;
  std::vector<H2TestClient::Exchange*> exchanges;
  for (size_t i = 0; i < kPairs; ++i) pairs.push_back(make(3000));
  ASSERT_TRUE(
      run_until(loop, [&] { return pairs.back().client->session.peer_max_streams() > 100; }));
  for (size_t i = 0; i < kPairs; ++i) {
    const char c = static_cast<char>('a' + i);
    const std::string large(40'000, c);
    exchanges.push_back(
        &pairs[i].client->request("POST", std::string(1, c), false, {{"x-large", large}}));
    for (int n = 0; n < 3; ++n) {
      pairs[i].client->send_body(*exchanges[i], std::string(kBody / 3, c), n == 2);
    }
  }
  const auto is_done = [](const Pair& pair) {
    return pair.server->streams.size() == 1 && pair.server->streams[0]->ended;
  };
  ASSERT_TRUE(run_until(loop, [&] { return std::all_of(pairs.begin(), pairs.end(), is_done); }));
  for (size_t i = 0; i < kPairs; ++i) {
    const char c = static_cast<char>('a' + i);
    const H2Peer::Stream& stream = pairs[i].server->stream(0);
    EXPECT_EQ(stream.body, std::string(kBody, c));
    EXPECT_NE(stream.fields.find("x-large: " + std::string(40'000, c) + "\n"), std::string::npos);
    pairs[i].server->respond(0, std::string(100'000, c));
  }
  ASSERT_TRUE(run_until(loop, [&] {
    return std::all_of(exchanges.begin(), exchanges.end(), [](auto* e) { return e->closed; });
  }));
  for (size_t i = 0; i < kPairs; ++i) {
    EXPECT_EQ(exchanges[i]->body, std::string(100'000, static_cast<char>('a' + i)));
  }
}

TEST_F(SessionMemory, OfANewOneIsTwoPagesWhileItIsAwakeAndIsAllGivenBack) {
  const H2Memory::Usage before = H2Memory::usage();
  {
    Pair pair = make(1 << 20);
    testing::run_for(loop, std::chrono::milliseconds(1));
    for (const H2Session* session : {&pair.client->session, &pair.server->session}) {
      EXPECT_FALSE(session->memory().is_asleep());
      EXPECT_LE(session->memory().live(), 2 * H2Memory::kPageBytes + 1300);
    }
  }
  EXPECT_EQ(H2Memory::usage().blocks, before.blocks);
  EXPECT_EQ(H2Memory::usage().pages, before.pages);
}

TEST_F(SessionMemory, OfOneThatSleepsIsSmallAndItGoesOnWhereItWas) {
  const H2Memory::Usage before = H2Memory::usage();
  {
    Pair pair = make(1 << 20);
    const std::vector<H2Session*> both = {&pair.client->session, &pair.server->session};
    const auto all_sleep = [&] {
      testing::run_for(loop, std::chrono::milliseconds(1));
      H2Memory::sweep();
      return both[0]->memory().is_asleep() && both[1]->memory().is_asleep();
    };
    EXPECT_TRUE(all_sleep()) << "before the first stream";
    EXPECT_EQ(H2Memory::usage().pages, before.pages);
    for (size_t i = 0; i < 5; ++i) {
      // Of the second and later ones all fields are in the tables.
      H2TestClient::Exchange& e = pair.client->request("POST", "/", false, {{"x-name", "value"}});
      pair.client->send_body(e, "question", true);
      ASSERT_TRUE(run_until(loop, [&] { return pair.server->streams.size() == i + 1; }));
      EXPECT_FALSE(all_sleep()) << "a stream is there";
      EXPECT_NE(pair.server->stream(i).fields.find("x-name: value\n"), std::string::npos);
      EXPECT_EQ(pair.server->stream(i).body, "question");
      pair.server->head(i, {{":status", "200"}, {"x-other", "value"}});
      pair.server->data(i, "answer", true);
      ASSERT_TRUE(run_until(loop, [&] { return e.closed; }));
      EXPECT_EQ(e.body, "answer");
      EXPECT_EQ(e.head, ":status: 200\nx-other: value\n");
      for (H2Session* session : both) session->rest();
      EXPECT_TRUE(all_sleep());
      for (const H2Session* session : both) EXPECT_LE(session->memory().live(), 3000u);
      printf("asleep after %zu requests: client %zu, server %zu bytes\n", i + 1,
             both[0]->memory().live(), both[1]->memory().live());
    }
    // A PING is no stream; without one it falls asleep again.
    pair.server->session.ping(7);
    EXPECT_FALSE(pair.server->session.memory().is_asleep());
    EXPECT_TRUE(pair.server->session.wants_to_send());
    pair.server->flush();
    testing::run_for(loop, std::chrono::milliseconds(1));
    EXPECT_FALSE(pair.client->session.memory().is_asleep());
    EXPECT_TRUE(all_sleep());
    EXPECT_EQ(pair.client->session.peer_max_streams(), H2Options().max_concurrent_streams);
    EXPECT_TRUE(all_sleep());
    pair.server->session.goaway(H2Error::kNone);
    pair.server->flush();
    ASSERT_TRUE(run_until(loop, [&] { return pair.client->saw_goaway; }));
    EXPECT_TRUE(all_sleep()) << "and may be destroyed so";
  }
  EXPECT_EQ(H2Memory::usage().blocks, before.blocks);
  EXPECT_EQ(H2Memory::usage().pages, before.pages);
}

// A session that rested may have streams again when the sweep comes: its first ones, or so many
// that its table has grown meanwhile.
TEST_F(SessionMemory, OfOneWithStreamsThatCameSinceItRestedStays) {
  for (const size_t count : {1u, 300u}) {
    SCOPED_TRACE(count);
    Pair pair = make(1 << 20);
    std::vector<H2TestClient::Exchange*> open;
    for (size_t i = 0; i < count; ++i) {
      open.push_back(&pair.client->request("POST", "/", false));
      pair.client->session.rest();
    }
    ASSERT_TRUE(run_until(loop, [&] { return pair.server->streams.size() == count; }));
    pair.server->session.rest();
    H2Memory::sweep();
    EXPECT_FALSE(pair.client->session.memory().is_asleep());
    EXPECT_FALSE(pair.server->session.memory().is_asleep());
    for (size_t i = 0; i < count; ++i) pair.server->respond(i);
    ASSERT_TRUE(run_until(loop, [&] { return open.back()->closed || open.back()->ended; }));
  }
}

// Bytes of a stream that is over may still wait in us, and their window is given back later.
TEST_F(SessionMemory, OfOneThatOwesWindowStays) {
  Pair pair = make(1 << 20);
  pair.server->holds_window = true;
  H2TestClient::Exchange& e = pair.client->request("POST", "/", false);
  pair.client->send_body(e, "question", true);
  ASSERT_TRUE(run_until(loop, [&] { return pair.server->streams.size() == 1; }));
  pair.server->respond(0);
  ASSERT_TRUE(run_until(loop, [&] { return e.closed && pair.server->stream(0).closed; }));
  H2Session& session = pair.server->session;
  session.rest();
  H2Memory::sweep();
  EXPECT_FALSE(session.memory().is_asleep());
  session.consume(pair.server->stream(0), 8);
  session.rest();
  H2Memory::sweep();
  EXPECT_TRUE(session.memory().is_asleep());
}

// A request that waits for the peer to take more streams is none of nghttp2's yet.
TEST_F(SessionMemory, OfOneWhoseRequestWaitsMayBeAsleepWhenThatIsReset) {
  Pair pair = make(1 << 20);
  pair.server->set_max_streams(0);
  testing::run_for(loop, std::chrono::milliseconds(1));
  H2TestClient::Exchange& e = pair.client->request("GET", "/");
  H2Session& session = pair.client->session;
  session.rest();
  H2Memory::sweep();
  EXPECT_TRUE(session.memory().is_asleep());
  session.reset(e, H2Error::kCancel);
  EXPECT_FALSE(session.memory().is_asleep());
  pair.server->set_max_streams(1);
  ASSERT_TRUE(run_until(loop, [&] { return e.closed; }));
  EXPECT_TRUE(pair.server->streams.empty());
}

// The bound of proxy/http/README-like figures: two full tables of HPACK, and what is fixed.
TEST_F(SessionMemory, IsBoundedWhateverTheFieldsAre) {
  for (const size_t size : {1u, 30u, 1000u}) {
    Pair pair = make(1 << 20);
    for (int i = 0; i < 300; ++i) {
      const std::string name = str("x-", i), value(size, static_cast<char>('a' + i % 26));
      H2TestClient::Exchange& e = pair.client->request("GET", "/", true, {{name, value}});
      ASSERT_TRUE(run_until(loop, [&] { return pair.server->streams.size() == size_t(i) + 1; }));
      pair.server->head(static_cast<size_t>(i), {{":status", "200"}, {name, value}}, true);
      ASSERT_TRUE(run_until(loop, [&] { return e.closed; }));
    }
    pair.server->session.rest();
    H2Memory::sweep();
    EXPECT_LE(pair.server->session.memory().live(), 52u * 1024) << "fields of " << size;
    printf("H2 session after 300 requests with fields of %zu bytes: %zu bytes\n", size,
           pair.server->session.memory().live());
  }
}

// 1,000 streams at a time make nghttp2's table grow, and it never shrinks again.
TEST_F(SessionMemory, AfterABurstOfStreamsIsWhatItWasBefore) {
  Pair pair = make(1 << 20);
  std::vector<H2TestClient::Exchange*> exchanges;
  testing::run_for(loop, std::chrono::milliseconds(1));
  exchanges.push_back(&pair.client->request("GET", "/"));
  ASSERT_TRUE(run_until(loop, [&] { return pair.server->streams.size() == 1; }));
  pair.server->respond(0, "x");
  ASSERT_TRUE(run_until(loop, [&] { return exchanges[0]->closed; }));
  pair.server->session.rest();
  H2Memory::sweep();
  const size_t before = pair.server->session.memory().live();
  for (int i = 1; i < 1000; ++i) exchanges.push_back(&pair.client->request("GET", "/"));
  ASSERT_TRUE(run_until(loop, [&] { return pair.server->streams.size() == 1000; }));
  const size_t busy = pair.server->session.memory().live();
  EXPECT_GT(busy, before + 200'000);
  for (size_t i = 1; i < 1000; ++i) pair.server->respond(i, "x");
  ASSERT_TRUE(run_until(loop, [&] { return exchanges.back()->closed; }));
  testing::run_for(loop, std::chrono::milliseconds(1));
  pair.server->session.rest();
  H2Memory::sweep();
  EXPECT_LE(pair.server->session.memory().live(), before + 9000) << "of a queue of 1,000 pointers";
}

}  // namespace
}  // namespace pillion::http
