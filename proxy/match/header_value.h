#pragma once
// HeaderMatcher: envoy.config.route.v3.HeaderMatcher, compiled; for routes, policies, logs and
// retries alike.  Immutable.
//
// A header that is repeated is matched value by value: one that matches is enough, and an inverted
// matcher holds only if none does (CVE-2020-25017, 2021-32777, 2026-26308).  A missing header
// matches nothing, not even inverted, unless treat_missing_header_as_empty says otherwise or the
// matcher asks for presence.

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/config/node.h"
#include "proxy/match/string.h"

namespace pillion::match {

class HeaderMatcher {
 public:
  enum class Kind : uint8_t { kString, kRange, kPresent };

  // Lower case; may be a pseudo-header such as ":method".
  [[nodiscard]] std::string_view name() const noexcept { return name_; }

  // `head` is an http::RequestHead or http::ResponseHead (a template because http/ comes after
  // match/).
  template <typename Head>
  [[nodiscard]] bool matches(const Head& head) const {
    Tally tally;
    if (pseudo_ == Pseudo::kNone) {
      head.headers.for_each_of(name_, [&](const auto& field) { add(tally, field.value); });
    } else {
      add_pseudo(head, tally);
    }
    return verdict(tally);
  }
  // For fields without a head (trailers).
  template <typename Headers>
  [[nodiscard]] bool matches_fields(const Headers& headers) const {
    Tally tally;
    headers.for_each_of(name_, [&](const auto& field) { add(tally, field.value); });
    return verdict(tally);
  }
  // For people: `header x-user exact "ann"`.
  [[nodiscard]] std::string describe() const;

 private:
  friend HeaderMatcher parse_header_matcher(const config::Node& node);
  // Fields of a head that are no headers in it: pseudo-headers, and those that the codec takes out.
  enum class Pseudo : uint8_t {
    kNone,
    kMethod,
    kPath,
    kAuthority,
    kScheme,
    kStatus,
    kContentLength,
    kTransferEncoding,
    kUpgrade,
    kTe,
    kExpect,
  };
  static Pseudo find_pseudo(std::string_view lower_name) noexcept;
  struct Tally {
    bool present = false;
    bool matched = false;
  };

  template <typename Head>
  void add_pseudo(const Head& head, Tally& tally) const {
    using Framing = decltype(head.framing);
    switch (pseudo_) {
      case Pseudo::kContentLength:
        return add_length(head, tally);
      case Pseudo::kTransferEncoding:
        return add_if_set(tally, head.framing == Framing::kChunked ? "chunked" : "");
      case Pseudo::kUpgrade:
        return add_if_set(tally, head.upgrade);
      default:
        break;
    }
    if constexpr (requires { head.authority; }) {
      switch (pseudo_) {
        case Pseudo::kMethod:
          return add_if_set(tally, head.method_text);
        case Pseudo::kPath:
          return add_if_set(tally, head.path);
        case Pseudo::kAuthority:
          return add_if_set(tally, head.authority);
        case Pseudo::kScheme:
          return add_if_set(tally, head.scheme);
        case Pseudo::kTe:
          return add_if_set(tally, head.te_trailers ? "trailers" : "");
        case Pseudo::kExpect:
          return add_if_set(tally, head.expects_continue ? "100-continue" : "");
        default:
          return;
      }
    } else if (pseudo_ == Pseudo::kStatus && head.status != 0) {
      add_number(head.status, tally);
    }
  }
  template <typename Head>
  void add_length(const Head& head, Tally& tally) const {
    bool has_length = head.framing == decltype(head.framing)::kLength;
    if constexpr (requires { head.has_content_length; }) has_length = head.has_content_length;
    if (has_length) add_number(head.content_length, tally);
  }
  void add_number(uint64_t number, Tally& tally) const {
    char digits[20];
    const char* end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    add(tally, std::string_view(digits, static_cast<size_t>(end - digits)));
  }
  void add_if_set(Tally& tally, std::string_view value) const {
    if (!value.empty()) add(tally, value);
  }
  void add(Tally& tally, std::string_view value) const {
    tally.present = true;
    tally.matched = tally.matched || value_matches(value);
  }
  [[nodiscard]] bool value_matches(std::string_view value) const noexcept;
  [[nodiscard]] bool verdict(Tally tally) const noexcept;

  std::string name_;
  StringMatcher string_;
  int64_t range_begin_ = 0;  // [begin, end)
  int64_t range_end_ = 0;
  Kind kind_ = Kind::kPresent;
  Pseudo pseudo_ = Pseudo::kNone;
  bool want_present_ = true;
  bool invert_ = false;
  bool missing_is_empty_ = false;
};

// All forms of Envoy 1.40, the deprecated ones too; closes the mapping, unknown fields being errors
// always.
HeaderMatcher parse_header_matcher(const config::Node& node);

}  // namespace pillion::match
