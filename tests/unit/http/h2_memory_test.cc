// The allocator of HTTP/2 sessions, by itself and under sessions.
#include "proxy/http/h2_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  EXPECT_EQ(H2Memory::usage().tables, 0u);
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
    EXPECT_EQ(H2Memory::usage().tables, 2 * slots * 16);
  }
  H2Memory::sweep();
  EXPECT_EQ(first.live(), 65536u) << "it is in use";
  std::memset(tables[0], 0, 65536);
  first.rest();
  H2Memory::sweep();
  EXPECT_EQ(first.live(), 0u);
  EXPECT_EQ(second.live(), 65536u);
  for (size_t i = 0; i < both.size(); ++i) H2Memory::release(tables[i], both[i]);
  EXPECT_EQ(H2Memory::usage().tables, 0u);
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
  EXPECT_EQ(H2Memory::usage().tables, 0u);
  for (size_t i = 0; i < all.size(); ++i) H2Memory::release(tables[i], all[i].get());
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

TEST_F(SessionMemory, OfANewOneIsBelow5KiBAndIsAllGivenBack) {
  const H2Memory::Usage before = H2Memory::usage();
  {
    Pair pair = make(1 << 20);
    testing::run_for(loop, std::chrono::milliseconds(1));
    EXPECT_LE(pair.client->session.memory().live(), 5200u);
    EXPECT_LE(pair.server->session.memory().live(), 5200u);
    RecordProperty("bytes", static_cast<int>(pair.server->session.memory().live()));
  }
  EXPECT_EQ(H2Memory::usage().blocks, before.blocks);
  EXPECT_EQ(H2Memory::usage().tables, before.tables);
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
