#pragma once
// What LastGood keeps (last_good.h), on two sides of a thread: control collects LastGoodChanges, at
// the price of what changes, and a thread of LastGood's applies them to the LastGoodState, which no
// other thread touches meanwhile, and writes all of it.
//
// Both are bounded by what the control plane says: of a name the last word counts.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "xds/discovery_message.h"

namespace pillion {

class LastGoodChanges {
 public:
  // All of it was accepted, but `refused`, which keep their predecessors.  By the state of the
  // world CDS, LDS and SRDS say all that there is.
  void put(const xds::Response& response, const std::set<std::string>& refused);
  // All of it was refused: what it names stays as it is.
  void keep(const xds::Response& response);
  void remove(xds::ResourceType type, const std::string& name);
  void remove_all(xds::ResourceType type);
  // Of what is there from the file, and was not said again, these names alone stay.
  void confirm(xds::ResourceType type, std::set<std::string> wanted);
  [[nodiscard]] bool empty() const noexcept { return is_empty_; }

 private:
  friend class LastGoodState;
  enum class What : uint8_t { kSet, kKeep, kRemove };
  struct Change {
    What what = What::kSet;
    std::string version = {};
    std::string bytes = {};
  };
  struct OfType {
    bool is_all = false;  // what is not named here goes
    std::map<std::string, Change, std::less<>> named;
    std::optional<std::set<std::string>> confirmed;
  };
  OfType& at(xds::ResourceType type) {
    is_empty_ = false;
    return types_[static_cast<size_t>(type)];
  }
  static void keep_one(OfType& now, OfType& before, const std::string& name);

  std::array<OfType, xds::kResourceTypes> types_;
  bool is_empty_ = true;
};

class LastGoodState {
 public:
  // An error: the file cannot be used, and nothing has changed.  `is_there`: it can be read.
  Status<> read(const std::string& path, const std::string& owner, bool& is_there);
  void apply(LastGoodChanges&& changes);
  // `left_out`: gets the resources that have secrets in them, each once: "cds/NAME".
  Status<> write(const std::string& path, const std::string& owner,
                 std::vector<std::string>& left_out);
  // As one response for each type.
  [[nodiscard]] std::vector<xds::Response> responses() const;

 private:
  // May it be written?
  enum class Holds : uint8_t { kNotKnown, kNothing, kSecret };
  struct Kept {
    std::string version;
    std::string bytes;
    Holds holds = Holds::kNotKnown;
    bool is_of_file = false;  // and was not said since
  };
  using ByName = std::map<std::string, Kept, std::less<>>;
  void apply(xds::ResourceType type, LastGoodChanges::OfType& changes);

  std::array<ByName, xds::kResourceTypes> kept_;
  std::set<std::string> told_;  // left out
};

}  // namespace pillion
