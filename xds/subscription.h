#pragma once
// Subscription: what one type of resources is asked for on a stream, and what is known of it, by
// the rules of one of the two protocols (reference/envoy.md, 4).
//
// Owned by an AdsClient, which has the stream and the time; a Subscription knows neither:
//
//   ask_all() | ask(names), at any time
//   begin_stream()                              a new stream: nothing has been said on it
//   has_news() -> next_request(node, nothing)   what is wanted differs from what was said
//   sift(response)                              before the observer gets it
//     accepted() | rejected(refused)            what became of it; once for each sift()
//     next_request(node, reply)                 tells the server, if it came by this stream
//
// Memory: names that are wanted, and those that come or go until the next request; by delta one
// version for each resource that was accepted and is still wanted, else the names once more, as
// they are said.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xds/discovery_message.h"
#include "xds/method_path.h"
#include "xds/pending.h"

namespace pillion::xds {

class Subscription {
 public:
  // A name that is asked for.
  struct Asked {
    bool is_held = false;  // by delta: it was said and accepted, with this version
    SharedText version;
  };
  using Names = std::map<SharedText, Asked, std::less<>>;

  static std::unique_ptr<Subscription> make(ResourceType type, Protocol protocol);
  virtual ~Subscription() = default;
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  void ask_all();
  void ask(const std::set<std::string>& names);
  // One name more or less than what was asked by ask(); false: it was so already.
  bool add(const std::string& name);
  bool drop(const std::string& name);
  [[nodiscard]] bool is_wildcard() const noexcept { return is_wildcard_; }
  [[nodiscard]] const Names& names() const noexcept { return names_; }
  // Of the response that was accepted last.
  [[nodiscard]] const std::string& version() const noexcept { return version_; }

  // Was anything said on this stream?  If not, nothing that comes by it can be an answer.
  [[nodiscard]] bool has_spoken() const noexcept { return has_spoken_; }

  virtual void begin_stream() = 0;
  [[nodiscard]] virtual bool has_news() = 0;
  // News wait for the answer that is due, and go with it.
  [[nodiscard]] virtual bool news_ride_on_answers() const noexcept = 0;
  // All news, and what became of a response; null: this is no answer.  `node` is empty but in the
  // first request of the stream.  Valid until the next call of anything here.
  [[nodiscard]] virtual RequestBytes next_request(std::string_view node, const Reply* reply) = 0;

  // Takes out what nobody asked for.  A heartbeat of what is not held makes the response wrong; of
  // others the names alone count.
  void sift(Response& response);
  void accepted();
  // `refused`: all but these were taken; null: nothing was.
  void rejected(const std::set<std::string>* refused);
  // Gone with the end of their time.
  virtual void expire(const std::set<std::string>& names) = 0;

 protected:
  explicit Subscription(ResourceType type) : type_(type) {}
  [[nodiscard]] bool wants(std::string_view name) const {
    // Virtual hosts are asked for by one name and have another.
    const bool has_other_name = type_ == ResourceType::kVirtualHosts && !names_.empty();
    return is_wildcard_ || has_other_name || names_.contains(name);
  }

  // is_wildcard_ and names_ have changed; `before`: names_ until now.  Names of both are held as
  // before.
  virtual void interest_changed(const Names& before) = 0;
  // Of names_ this one has, and all else stays.
  virtual void name_added(const std::string& name) = 0;
  virtual void name_dropped(const std::string& name) = 0;
  [[nodiscard]] virtual bool holds(const Response& response, const Resource& resource) const = 0;
  virtual void begin_response(const Response& response) = 0;
  virtual void keep(const std::set<std::string>* refused) = 0;

  const ResourceType type_;
  bool is_wildcard_ = false;
  Names names_;
  std::string version_;
  std::string open_version_;  // of the response that sift() saw last
  bool has_spoken_ = false;   // on this stream
};

// The state of the world: every request says everything.  A response without a name takes nothing
// back, but of CDS and LDS, which are always complete.
class SotwSubscription final : public Subscription {
 public:
  explicit SotwSubscription(ResourceType type) : Subscription(type) {}

  void begin_stream() override;
  [[nodiscard]] bool has_news() override;
  [[nodiscard]] bool news_ride_on_answers() const noexcept override { return true; }
  [[nodiscard]] RequestBytes next_request(std::string_view node, const Reply* reply) override;
  void expire(const std::set<std::string>& names) override;

 private:
  void interest_changed(const Names& before) override;
  void name_added(const std::string& name) override;
  void name_dropped(const std::string& name) override;
  [[nodiscard]] bool holds(const Response& response, const Resource& resource) const override;
  void begin_response(const Response& response) override;
  void keep(const std::set<std::string>* refused) override;
  std::string_view encoded_names();

  std::string nonce_;  // of the response that was looked at last, of this stream
  bool is_news_ = false;
  // On this stream: from then on an empty list means none, and before it all.
  bool said_names_ = false;
  bool said_all_ = false;  // by an empty list
  // Since the last request of this stream: names that are not wanted any more, and those of them
  // that are wanted again.
  std::set<std::string> dropped_;
  std::set<std::string> again_;
  std::string encoded_;  // names_ as requests say them, if is_encoded_
  bool is_encoded_ = false;
};

// Delta: requests say differences, responses too.  What the next request says is kept, not what
// was said: a change among ten thousand names looks at no other.
class DeltaSubscription final : public Subscription {
 public:
  explicit DeltaSubscription(ResourceType type) : Subscription(type) {}

  void begin_stream() override;
  [[nodiscard]] bool has_news() override;
  [[nodiscard]] bool news_ride_on_answers() const noexcept override { return false; }
  [[nodiscard]] RequestBytes next_request(std::string_view node, const Reply* reply) override;
  void expire(const std::set<std::string>& names) override;

 private:
  void interest_changed(const Names& before) override;
  void name_added(const std::string& name) override;
  void name_dropped(const std::string& name) override;
  [[nodiscard]] bool holds(const Response& response, const Resource& resource) const override;
  void begin_response(const Response& response) override;
  void keep(const std::set<std::string>* refused) override;
  void add_differences(DeltaRequest& request);
  void add_versions(DeltaRequest& request) const;
  [[nodiscard]] bool is_named() const noexcept {
    return !is_wildcard_ && type_ != ResourceType::kVirtualHosts;
  }
  void hold(const SharedText& name, SharedText version);
  void let_go(std::string_view name);
  void note_added(const std::string& name);
  void note_dropped(const std::string& name);

  bool is_news_ = false;
  bool said_wildcard_ = false;  // on this stream
  // Since the last request of this stream (before the first, which says all names, empty): names
  // that are new, those of them that the server knows because they were dropped and are wanted
  // again, and those that it knows and nobody wants.
  std::set<std::string> added_;
  std::set<std::string> again_;
  std::set<std::string> dropped_;
  // Of the wildcard and of virtual hosts, which are not called as they are asked for: what was
  // accepted.  Of others names_ says it.
  Versions held_;
  // Of the response that sift() saw last.
  std::vector<std::pair<SharedText, SharedText>> open_;
  std::vector<std::string> open_removed_;
};

}  // namespace pillion::xds
