#pragma once
// LastGood: what the control plane said last and was accepted, kept in a file
// (--last-good-cache), so that a process that is started again while nobody answers begins from it.
//
// Owned by Subscriptions, on the control loop:
//
//   load()                            once, at the start
//   heard(response)  ->  answered()   for each response of the aggregated stream
//   keep_only(type, names)            what is not wanted any more leaves
//
// The file is written by a thread, some seconds after a change and by rename, readable to its owner
// alone.  It is used only if its hash is right and the node is the same.  Secrets are never in it,
// nor any resource with a key or password written out: these are missing after such a start, and
// the log says which.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/io/inbox.h"
#include "proxy/io/loop.h"
#include "xds/discovery_message.h"

namespace pillion {

class LastGood {
 public:
  // `owner`: whose resources they are; those of another are not used.
  LastGood(io::Loop& loop, std::string path, std::string owner);
  // Writes what has not been written yet.
  ~LastGood();

  // As one response for each type that is in the file.
  std::vector<xds::Response> load();

  void heard(const xds::Response& response);
  // `wrong` empty: all of it was accepted; else all but `refused`, or, if that is null, nothing.
  void answered(xds::ResourceType type, std::string_view wrong,
                const std::set<std::string>* refused);
  template <typename Names>
  void keep_only(xds::ResourceType type, const Names& names) {
    const size_t gone =
        std::erase_if(at(type), [&names](const auto& item) { return !names.contains(item.first); });
    if (gone != 0) changed();
  }

 private:
  // May it be written?
  enum class Holds : uint8_t { kNotKnown, kNothing, kSecret };
  struct Kept {
    std::shared_ptr<const std::string> bytes;
    std::string version;
    Holds holds = Holds::kNotKnown;
  };
  using ByName = std::map<std::string, Kept, std::less<>>;
  struct Entry {
    xds::ResourceType type;
    std::string name;
    Kept kept;
  };
  struct Written {
    std::vector<Entry> entries;  // with what is known of them now
    Status<> status = Ok{};
  };

  static Written write(const std::string& path, const std::string& owner,
                       std::vector<Entry> entries);
  ByName& at(xds::ResourceType type) { return kept_[static_cast<size_t>(type)]; }
  void changed();
  void begin_write();
  void on_written(const Written& written);
  void put(const xds::Response& response, const std::set<std::string>& refused);

  io::Loop& loop_;
  const std::string path_;
  const std::string owner_;
  std::array<ByName, xds::kResourceTypes> kept_;
  std::array<std::unique_ptr<xds::Response>, xds::kResourceTypes> open_;
  io::Inbox inbox_{loop_};
  std::thread writer_;
  bool is_writing_ = false;
  bool has_changed_ = false;    // since the last write began
  std::set<std::string> told_;  // left out, said already
  io::Timer timer_ = io::Timer::of<&LastGood::begin_write>(this);
};

}  // namespace pillion
