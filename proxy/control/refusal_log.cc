#include "proxy/control/refusal_log.h"

#include <algorithm>
#include <functional>
#include <string>

#include "proxy/base/log.h"
#include "proxy/base/str.h"

namespace pillion {
namespace {

using Origin = Subscriptions::Origin;

constexpr size_t kMostOfReason = 4096;
constexpr Duration kTellAgain = std::chrono::minutes(1);

std::string_view text_of(Origin origin) {
  switch (origin) {
    case Origin::kFile:
      return "a file holds";
    case Origin::kLastGood:
      return "the last good state holds";
    case Origin::kStream:
      break;
  }
  return "the control plane sent";
}

}  // namespace

void RefusalLog::refused(xds::ResourceType type, Origin origin, std::string_view reason,
                         Instant now) {
  while (reason.ends_with('\n')) reason.remove_suffix(1);
  Told& told = told_[static_cast<size_t>(type)];
  const uint64_t hash = std::hash<std::string_view>{}(reason);
  if (origin == Origin::kStream && told.hash == hash && now < told.until) return;
  told = {hash, now + kTellAgain};
  std::string_view shown = reason.substr(0, kMostOfReason);
  const bool is_cut = shown.size() < reason.size();
  const size_t end = is_cut ? shown.rfind('\n') : shown.npos;
  if (end != shown.npos) shown = shown.substr(0, end);
  const auto more = static_cast<uint64_t>(std::ranges::count(reason.substr(shown.size()), '\n') +
                                          (is_cut && end == shown.npos));
  const std::string text = str("refused a part of what ", text_of(origin));
  if (more == 0)
    return log::error(log::kConfig, text, {{"type", xds::short_name(type)}, {"reason", shown}});
  log::error(log::kConfig, text,
             {{"type", xds::short_name(type)}, {"reason", shown}, {"lines_left_out", more}});
}

}  // namespace pillion
