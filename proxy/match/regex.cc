#include "proxy/match/regex.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "proxy/base/str.h"

namespace pillion::match {
namespace {

constexpr int kMaxGroups = 10;  // \0 to \9

RE2::Options options() {
  RE2::Options o(RE2::Quiet);
  o.set_encoding(RE2::Options::EncodingLatin1);
  o.set_max_mem(static_cast<int64_t>(Regex::kMaxMemoryBytes));
  return o;
}

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

// Calls literal(view) and group(number) for the parts of a legal substitution.
template <typename Literal, typename Group>
void for_each_part(std::string_view substitution, Literal&& literal, Group&& group) {
  while (!substitution.empty()) {
    const size_t at = substitution.find('\\');
    if (at != 0) literal(substitution.substr(0, at));
    if (at == substitution.npos) return;
    const char c = substitution[at + 1];
    if (c == '\\') {
      literal(substitution.substr(at, 1));
    } else {
      group(c - '0');
    }
    substitution.remove_prefix(at + 2);
  }
}

// A text of unknown length in an arena.
class Output {
 public:
  Output(Arena& arena, size_t expected) : arena_(arena), capacity_(expected) {
    data_ = static_cast<char*>(arena.allocate(capacity_, 1));
  }
  void append(std::string_view text) {
    if (text.empty()) return;
    if (size_ + text.size() > capacity_) grow(size_ + text.size());
    std::memcpy(data_ + size_, text.data(), text.size());
    size_ += text.size();
  }
  [[nodiscard]] std::string_view view() const { return {data_, size_}; }

 private:
  void grow(size_t needed) {
    capacity_ = needed * 2;
    char* larger = static_cast<char*>(arena_.allocate(capacity_, 1));
    std::memcpy(larger, data_, size_);
    data_ = larger;
  }
  Arena& arena_;
  char* data_;
  size_t size_ = 0;
  size_t capacity_;
};

}  // namespace

struct Regex::Program {
  explicit Program(std::string_view pattern) : re(piece(pattern), options()) {}
  RE2 re;
};

Regex::Regex(std::unique_ptr<Program> program) : program_(std::move(program)) {}
Regex::~Regex() = default;

Result<RegexPtr> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return Error{str("a regular expression of at most ", kMaxPatternBytes, " bytes")};
  }
  auto program = std::make_unique<Program>(pattern);
  if (program->re.error_code() == RE2::ErrorPatternTooLarge) {
    return Error{std::string("a smaller regular expression (its compiled form is too large)")};
  }
  if (!program->re.ok()) {
    return Error{str("a regular expression (RE2 syntax; ", program->re.error(), ")")};
  }
  return RegexPtr(new Regex(std::move(program)));
}

bool Regex::matches(std::string_view text) const noexcept {
  return RE2::FullMatch(piece(text), program_->re);
}

std::string_view Regex::pattern() const noexcept { return program_->re.pattern(); }

Status<> Regex::check_substitution(std::string_view substitution) const {
  for (size_t i = 0; i < substitution.size(); ++i) {
    if (substitution[i] != '\\') continue;
    const char c = ++i < substitution.size() ? substitution[i] : '\0';
    if (c == '\\') continue;
    if (c < '0' || c > '9') return Error{std::string("\\0 to \\9 or \\\\ after a backslash")};
    if (c - '0' > program_->re.NumberOfCapturingGroups()) {
      return Error{str("a group that the pattern has (up to \\",
                       program_->re.NumberOfCapturingGroups(), ")")};
    }
  }
  return Ok{};
}

std::string_view Regex::replace_all(std::string_view text, std::string_view substitution,
                                    Arena& arena) const {
  re2::StringPiece groups[kMaxGroups];
  const int wanted = std::min(kMaxGroups, program_->re.NumberOfCapturingGroups() + 1);
  const re2::StringPiece input = piece(text);
  size_t done = 0;  // text before it has been written
  size_t from = 0;  // where to look next
  size_t last_end = text.npos;
  bool any = false;
  Output out(arena, text.size() + substitution.size() + 16);
  while (from <= text.size() &&
         program_->re.Match(input, from, text.size(), RE2::UNANCHORED, groups, wanted)) {
    const auto begin = static_cast<size_t>(groups[0].data() - text.data());
    const size_t end = begin + groups[0].size();
    if (begin == end && begin == last_end) {  // nothing, right after a match: not another one
      ++from;
      continue;
    }
    any = true;
    out.append(text.substr(done, begin - done));
    for_each_part(
        substitution, [&out](std::string_view literal) { out.append(literal); },
        [&](int n) { out.append({groups[n].data(), groups[n].size()}); });
    done = last_end = from = end;
  }
  if (!any) return text;
  out.append(text.substr(done));
  return out.view();
}

RegexPtr parse_regex(const config::Node& node) {
  if (node.is_missing()) return nullptr;
  const config::Node pattern = node.required("regex");
  node.ignore({"google_re2"});  // RE2 is the only engine; its program size has a cap of our own
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  if (pattern.is_missing()) return nullptr;
  const std::string text = pattern.as_string();
  if (text.empty()) return nullptr;
  auto regex = Regex::compile(text);
  if (regex) return *std::move(regex);
  pattern.expected(regex.error());
  return nullptr;
}

RegexRewrite parse_regex_rewrite(const config::Node& node) {
  RegexRewrite rewrite;
  if (node.is_missing()) return rewrite;
  rewrite.regex = parse_regex(node.required("pattern"));
  const config::Node substitution = node["substitution"];
  rewrite.substitution = substitution.as_string_or("");
  node.reject_unknown_keys(config::Unknown::kAlwaysError);
  if (!rewrite.regex) return rewrite;
  const Status<> legal = rewrite.regex->check_substitution(rewrite.substitution);
  if (!legal) {
    substitution.expected(legal.error());
    rewrite.regex = nullptr;
  }
  return rewrite;
}

}  // namespace pillion::match
