#include "proxy/control/document_fetcher.h"

#include <gtest/gtest.h>

#include "proxy/core/http_filter.h"
#include "tests/support/fake_cluster_client.h"

namespace pillion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A document that is any text but "bad".
class Text final : public core::SharedDocument {
 public:
  using SharedDocument::SharedDocument;
  void on_fetched(bool ok, const core::FilterWorkerSetup&) override { ok ? ++good : ++failed; }
  [[nodiscard]] std::string text() const {
    const Value held = value();
    return held == nullptr ? "" : *static_cast<const std::string*>(held.get());
  }
  int good = 0;
  int failed = 0;

 private:
  Result<Value> parse(std::string_view text) override {
    if (text == "bad") return Error{"it is bad"};
    return Value(std::make_shared<const std::string>(text));
  }
};

class DocumentFetcherTest : public ::testing::Test, private DocumentObserver {
 protected:
  std::shared_ptr<Text> document(core::DocumentSource source = {}) {
    if (source.cluster.empty()) source = {"issuer", "issuer.example", "/keys"};
    return std::make_shared<Text>(std::move(source));
  }
  void use(std::initializer_list<std::shared_ptr<Text>> documents) {
    std::vector<DocumentFetcher::Wanted> wanted;
    for (const auto& d : documents) wanted.push_back({d, "web"});
    fetcher_.use(wanted);
  }
  void answer(std::string_view body, uint16_t status = 200) {
    testing::FakeClusterClient::Call& call = client_.last();
    call.head(status);
    if (!call.is_open) return;
    call.observer->on_call_data(body, true);
  }
  // Time passes until there is another call; how long it took.
  Duration until_next_call() {
    const size_t before = client_.calls.size();
    const Instant begin = loop_.now();
    while (client_.calls.size() == before && loop_.now() - begin < seconds(20))
      loop_.run_once(true);
    return loop_.now() - begin;
  }

  io::Loop loop_;
  Rng rng_{1};
  stats::Registry registry_;
  testing::FakeClusterClient client_;
  int changes_ = 0;
  DocumentFetcher fetcher_{{loop_, rng_, registry_, client_, observer()}};

 private:
  DocumentObserver& observer() { return *this; }
  void on_document_changed() override { ++changes_; }
};

TEST_F(DocumentFetcherTest, AsksOnceForAllThatNameTheSamePlace) {
  const auto one = document();
  const auto two = document();
  use({one, two});
  ASSERT_EQ(client_.calls.size(), 1u);
  EXPECT_EQ(client_.last().cluster, "issuer");
  EXPECT_EQ(client_.last().authority, "issuer.example");
  EXPECT_EQ(client_.last().path, "/keys");
  EXPECT_EQ(one->version(), 0u);
  answer("text");
  EXPECT_EQ(one->text(), "text");
  EXPECT_EQ(two->text(), "text");
  EXPECT_EQ(one->good, 1);
  EXPECT_EQ(changes_, 1);
}

TEST_F(DocumentFetcherTest, ADocumentOfAChangedConfigurationHasItsTextAtOnce) {
  const auto one = document();
  use({one});
  answer("text");
  const auto two = document();
  use({two});
  EXPECT_EQ(two->text(), "text");
  EXPECT_EQ(client_.calls.size(), 1u);
}

TEST_F(DocumentFetcherTest, WhatCannotBeHadIsAskedForAgainAndTheLastGoodOneStays) {
  core::DocumentSource source{"issuer", "issuer.example", "/keys"};
  source.refresh = milliseconds(100);
  source.after_failure = milliseconds(100);
  const auto one = document(source);
  use({one});
  client_.last().fail("Connection refused");
  EXPECT_NE(one->version(), 0u) << "who waits learns of it";
  EXPECT_EQ(one->value(), nullptr);
  EXPECT_EQ(one->failed, 1);
  EXPECT_GE(until_next_call(), milliseconds(90));
  answer("text");
  const uint32_t version = one->version();
  const std::pair<std::string, uint16_t> answers[] = {{"bad", 200}, {"x", 503}, {"", 200}};
  for (const auto& [body, status] : answers) {
    (void)until_next_call();
    if (body.empty()) {
      client_.last().fail("timeout");
    } else {
      answer(body, status);
    }
    EXPECT_EQ(one->text(), "text");
    EXPECT_EQ(one->version(), version);
  }
  EXPECT_EQ(one->failed, 4);
}

TEST_F(DocumentFetcherTest, RetriesAreNotYetFailures) {
  core::DocumentSource source{"issuer", "issuer.example", "/keys"};
  source.retries = 1;
  source.retry_base = milliseconds(100);
  const auto one = document(source);
  use({one});
  client_.last().fail("Connection refused");
  EXPECT_EQ(one->version(), 0u);
  (void)until_next_call();
  client_.last().fail("Connection refused");
  EXPECT_NE(one->version(), 0u);
  EXPECT_EQ(one->failed, 1);
}

TEST_F(DocumentFetcherTest, ATextThatIsTooLongIsGivenUp) {
  core::DocumentSource source{"issuer", "issuer.example", "/keys"};
  source.max_bytes = 10;
  const auto one = document(source);
  use({one});
  client_.last().head(200);
  client_.last().data("0123456789");
  EXPECT_TRUE(client_.last().is_open);
  client_.last().data("x");
  EXPECT_FALSE(client_.last().is_open);
  EXPECT_EQ(one->failed, 1);
}

TEST_F(DocumentFetcherTest, WhatNobodyNeedsIsNotAskedForAnyMore) {
  use({document()});
  EXPECT_TRUE(client_.last().is_open);
  use({});
  EXPECT_FALSE(client_.last().is_open);
}

}  // namespace
}  // namespace pillion
