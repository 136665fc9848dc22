#pragma once
// AdminClient: asks the admin interface of a running proxy, Pillion's or Envoy's; blocks.
//
// One connection for each question, with a deadline and a bound on the answer: what answers may be
// anything.  Errors are sentences for a person.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/io/address.h"

namespace pillion::cli {

class AdminClient {
 public:
  static constexpr size_t kMaxAnswerBytes = size_t{256} << 20;
  static constexpr int kTimeoutSeconds = 30;  // of one question

  // "http://127.0.0.1:15000", "localhost:15000", "unix:/run/admin.sock" or "/run/admin.sock".  No
  // names are resolved: an admin interface is near.
  static Result<AdminClient> parse(std::string_view url);

  struct Answer {
    int status = 0;
    std::string body;
  };
  // `target`: path and query.
  [[nodiscard]] Result<Answer> get(std::string_view target) const;
  // As it was given.
  [[nodiscard]] const std::string& url() const noexcept { return url_; }

 private:
  [[nodiscard]] Result<int> connect() const;

  std::string url_;
  std::string host_;  // as the request says it
  std::vector<io::Address> addresses_;
};

// `text` as a value in a query.
std::string query_escape(std::string_view text);
// A regex that fits `text` alone.
std::string exactly(std::string_view text);

}  // namespace pillion::cli
