#include "proxy/io/writer.h"

#include <gtest/gtest.h>

#include "tests/support/fake_transport.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"

namespace pillion::io {
namespace {

using testing::FakeTransport;

struct Notes final : WriterObserver {
  void on_drained() override { log += "drained "; }
  void on_write_failed() override { log += "failed "; }
  std::string log;
};

// Forwards what the transport tells to the writer, as a connection does.
struct Side final : TransportObserver {
  void on_readable() override {}
  void on_writable() override { writer->on_writable(); }
  void on_closed(Failure) override {}
  Writer* writer = nullptr;
};

class WriterTest : public ::testing::Test {
 protected:
  WriterTest() {
    std::tie(near_, far_) = FakeTransport::make_pair(loop_);
    side_.writer = &writer_;
    near_->start(side_);
    writer_.set_transport(*near_);
  }
  ~WriterTest() override {
    writer_.detach();
    near_->close();
  }
  std::string take_all() {
    std::string text(4 << 20, '\0');
    const IoResult r = far_->read(text.data(), text.size());
    text.resize(r.bytes);
    return text;
  }
  void turn() { loop_.run_once(false); }

  Loop loop_;
  WriteBatch batch_{loop_};
  Notes notes_;
  std::unique_ptr<FakeTransport> near_, far_;
  Writer writer_{batch_, notes_};
  Side side_;
};

TEST_F(WriterTest, SendsAllPiecesOfATurnByOneCall) {
  const std::string body = "body";
  writer_.append_copy("head ");
  char* room = writer_.reserve(5);
  std::copy_n("more ", 5, room);
  writer_.commit(5);
  writer_.add(body);
  writer_.append_copy(" tail");
  EXPECT_EQ(near_->writes, 0U);
  batch_.flush();
  EXPECT_EQ(far_->unread(), "head more body tail");
  EXPECT_EQ(near_->writes, 1U);
  EXPECT_EQ(writer_.bytes_sent(), 19U);
  EXPECT_EQ(writer_.backlog(), 0U);
}

TEST_F(WriterTest, FlushesItselfAtTheEndOfTheTurn) {
  writer_.append_copy("forgotten");
  turn();
  EXPECT_EQ(far_->unread(), "forgotten");
}

TEST_F(WriterTest, KeepsACopyOfWhatThePeerDidNotTake) {
  far_->window = 10;
  std::string body(30, 'b');
  writer_.append_copy("head ");
  writer_.add(body);
  batch_.flush();
  body.assign(30, '!');  // scratch is reused; a copy was taken
  EXPECT_EQ(writer_.backlog(), 25U);
  writer_.append_copy("tail");
  batch_.flush();
  EXPECT_EQ(near_->writes, 1U) << "behind a backlog nothing is tried";
  EXPECT_EQ(notes_.log, "");
  far_->window = 1 << 20;
  std::string got = take_all();
  turn();
  turn();
  got += take_all();
  EXPECT_EQ(got, "head " + std::string(30, 'b') + "tail");
  EXPECT_EQ(notes_.log, "drained ");
  EXPECT_EQ(writer_.bytes_sent(), 39U);
}

TEST_F(WriterTest, KeepsOrderThroughOverflowsOfTheBatch) {
  // More pieces than the table holds, more text than its area holds, and pieces larger than that.
  std::string expected;
  std::string views(1000, '\0');
  for (size_t i = 0; i < views.size(); ++i) views[i] = static_cast<char>('a' + i % 26);
  far_->window = 16 << 20;
  for (size_t i = 0; i < 400; ++i) {
    const std::string_view view = std::string_view(views).substr(i, 3 + i % 5);
    writer_.add(view);
    expected += view;
    const std::string text(i % 7 == 0 ? 1 : 900, static_cast<char>('A' + i % 26));
    writer_.append_copy(text);
    expected += text;
    if (i % 100 == 50) {
      const std::string large(WriteBatch::kTextBytes + i, '#');
      writer_.append_copy(large);
      expected += large;
    }
  }
  batch_.flush();
  EXPECT_EQ(far_->unread(), expected);
}

TEST_F(WriterTest, TakesALargeReservationWhole) {
  far_->window = 1000;
  const std::string large(300'000, 'x');
  writer_.append_copy("head");
  writer_.append_copy(large);
  EXPECT_EQ(writer_.backlog(), 4 + large.size() - 1000);
  writer_.append_copy("tail");
  far_->window = 1 << 20;
  std::string got;
  for (int i = 0; i < 10; ++i) {
    got += take_all();
    turn();
  }
  EXPECT_EQ(got, "head" + large + "tail");
}

TEST_F(WriterTest, SendsOneWritersPiecesBeforeAnothersAreGathered) {
  auto [near2, far2] = FakeTransport::make_pair(loop_);
  Writer second(batch_, notes_);
  second.set_transport(*near2);
  writer_.append_copy("first");
  second.append_copy("other");
  EXPECT_EQ(far_->unread(), "first");
  writer_.append_copy("+");
  EXPECT_EQ(far2->unread(), "other");
  batch_.flush();
  EXPECT_EQ(far_->unread(), "first+");
}

TEST_F(WriterTest, SendsTheFinAfterAllBytes) {
  far_->window = 4;
  writer_.append_copy("last words");
  writer_.end();
  EXPECT_FALSE(far_->peer_sent_fin()) << "still gathered";
  batch_.flush();
  EXPECT_FALSE(far_->peer_sent_fin()) << "still in the backlog";
  far_->window = 100;
  std::string got = take_all();
  turn();
  turn();
  got += take_all();
  EXPECT_EQ(got, "last words");
  EXPECT_TRUE(far_->peer_sent_fin());
}

TEST_F(WriterTest, SendsTheFinAtOnceWhenNothingWaits) {
  writer_.end();
  EXPECT_TRUE(far_->peer_sent_fin());
}

TEST_F(WriterTest, ForgetsItsPiecesWhenDetached) {
  writer_.append_copy("never sent");
  writer_.detach();
  Writer second(batch_, notes_);
  auto [near2, far2] = FakeTransport::make_pair(loop_);
  second.set_transport(*near2);
  second.append_copy("mine");
  batch_.flush();
  turn();
  EXPECT_EQ(far_->unread(), "");
  EXPECT_EQ(far2->unread(), "mine") << "without another's bytes";
  {
    // A writer that dies between gathering and flush.
    Writer third(batch_, notes_);
    third.set_transport(*near2);
    third.append_copy("gone");
  }
  turn();
  EXPECT_EQ(far2->unread(), "mine");
}

TEST_F(WriterTest, TellsOfAFailureOnceAndSwallowsTheRest) {
  near_->inject_reset();
  writer_.append_copy("x");
  EXPECT_EQ(notes_.log, "") << "from flush() only";
  batch_.flush();
  EXPECT_EQ(notes_.log, "failed ");
  EXPECT_TRUE(writer_.has_failed());
  writer_.append_copy("y");
  writer_.end();
  batch_.flush();
  writer_.on_writable();
  EXPECT_EQ(notes_.log, "failed ");
  EXPECT_EQ(writer_.backlog(), 0U);
}

TEST_F(WriterTest, ReturnsItsSlabs) {
  const int64_t before = Slab::live();
  far_->window = 1;
  writer_.append_copy(std::string(100'000, 'x'));
  EXPECT_GT(Slab::live(), before);
  writer_.detach();
  EXPECT_EQ(Slab::live(), before);
}

}  // namespace
}  // namespace pillion::io
