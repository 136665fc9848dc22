// The only file that includes yaml-cpp: its event stream becomes a Document.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <optional>
#include <streambuf>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/base/utf8.h"
#include "proxy/config/node.h"
#include "proxy/config/suggest.h"
#include "proxy/config/yaml_text.h"

namespace pillion::config {
namespace {

// Ends the parse; never leaves this file.
struct Stop {
  Mark mark;
  std::string text;
  int key_at = -1;  // offset of a list or mapping that stands where a key should
};

Mark from_yaml(const YAML::Mark& mark) {
  if (mark.is_null() || mark.line < 0) return {};
  return {static_cast<uint32_t>(mark.line) + 1, static_cast<uint32_t>(mark.column) + 1};
}

// Reads memory without copying it.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // streambuf never writes to its get area
    setg(begin, begin, begin + text.size());
  }
};

// Where the quoted text ends that begins at `at`: its last quote, or npos.
size_t end_of_quote(std::string_view text, size_t at) {
  const char quote = text[at];
  for (++at; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '"' || at + 1 == text.size() || text[at + 1] != quote) return at;
      ++at;
    }
  }
  return text.npos;
}

class Builder final : public YAML::EventHandler {
 public:
  // Of one document; may_begin: false for one that must not be there.
  Builder(std::string_view text, const std::string& source, Errors& errors,
          const LoadLimits& limits, bool may_begin)
      : text_(text),
        source_(source),
        errors_(errors),
        limits_(limits),
        tree_(source),
        may_begin_(may_begin) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (!may_begin_) throw Stop{from_yaml(mark), "more than one document"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (wants_key()) throw Stop{from_yaml(mark), "a key must be text, got null"};
    before_value(mark);
    // Nothing is written there: yaml-cpp's mark is that of whatever comes next.
    if (has_key_ && from_yaml(mark).line != key_mark_.line) tree_.at(key_mark_);
    tree_.null();
    after_value(anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_utf8(mark, value);
    if (tag == "!") check_misread(mark);
    if (wants_key()) return on_key(mark, tag, value);
    before_value(mark);
    const bool is_string = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (!is_string) check_tag(mark, tag);
    is_string ? tree_.string(value) : tree_.plain(value);
    if (tag == "!") last_quoted_at_ = mark.pos;
    after_value(anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (wants_key()) throw Stop{from_yaml(mark), "a key must be text, got an alias"};
    const Value* target = anchor < anchors_.size() ? anchors_[anchor] : nullptr;
    if (target == nullptr) throw Stop{from_yaml(mark), "alias of an unknown anchor"};
    check_alias(mark, *target);
    before_value(mark);
    tree_.copy(*target);
    after_value(0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::kSequence);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Kind::kMapping);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override {
    report_duplicate_keys(*open_.back());
    close();
  }

  DocumentPtr finish() { return tree_.finish(); }
  // Offset of the last quoted scalar that was a value, or -1.
  [[nodiscard]] int last_quoted_at() const { return last_quoted_at_; }
  // Where the innermost container began that is not complete.
  [[nodiscard]] Mark open_mark() const { return open_.empty() ? Mark{} : open_.back()->mark; }

 private:
  [[nodiscard]] bool wants_key() const {
    return !open_.empty() && open_.back()->kind == Kind::kMapping && !has_key_;
  }

  void on_key(const YAML::Mark& mark, const std::string& tag, const std::string& key) {
    if (key == "<<" && tag == "?") {
      errors_.error({source_, from_yaml(mark), {}},
                    "merge keys (<<) are not supported: repeat the fields, or use an alias for a "
                    "whole value");
    }
    key_mark_ = from_yaml(mark);
    tree_.key(key, key_mark_);
    has_key_ = true;
    if (tag == "!") last_quoted_at_ = mark.pos;
  }

  // The text is; yaml-cpp's \N and \_ make one byte of what needs two.
  static void check_utf8(const YAML::Mark& mark, std::string_view value) {
    while (!value.empty()) {
      const size_t length = utf8_length(value);
      if (length == 0) {
        throw Stop{from_yaml(mark),
                   "the escapes \\N and \\_ are not supported: write \\u0085 and \\u00a0"};
      }
      value.remove_prefix(length);
    }
  }

  // What yaml-cpp 0.7 takes for less than it is: better refused than changed.
  void check_misread(const YAML::Mark& mark) const {
    // An anchor or tag may stand before it.
    const size_t at = text_.find_first_of("\"'|>", static_cast<size_t>(mark.pos));
    if (at == text_.npos) return;
    const std::string_view next = text_.substr(at + 1, 2);
    if (text_[at] == '>' && next.substr(0, next.find('\n')).find('+') != next.npos) {
      throw Stop{from_yaml(mark),
                 "folded text that keeps its line ends (>+) is not supported: use |+"};
    }
    const bool is_quote = text_[at] == '"' || text_[at] == '\'';
    const size_t end = is_quote ? end_of_quote(text_, at) : text_.npos;
    if (end == text_.npos) return;
    std::string_view tail = text_.substr(at + 1, end - at - 1);
    tail.remove_prefix(tail.find_last_not_of(" \t\r\n") + 1);  // npos + 1 is 0
    if (std::count(tail.begin(), tail.end(), '\n') > 1) {
      throw Stop{from_yaml(mark),
                 "quoted text that ends in empty lines is not supported: write \\n"};
    }
  }

  void before_value(const YAML::Mark& mark) {
    if (tree_.value_count() >= limits_.max_values) {
      throw Stop{from_yaml(mark), str("more than ", limits_.max_values, " values")};
    }
    tree_.at(from_yaml(mark));
  }

  // Scalars end here; a container returns when it closes.
  void after_value(YAML::anchor_t anchor) {
    remember(anchor, tree_.last_value());
    has_key_ = false;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Kind kind) {
    const char* name = kind == Kind::kMapping ? "a mapping" : "a list";
    if (wants_key()) throw Stop{from_yaml(mark), str("a key must be text, got ", name), mark.pos};
    if (open_.size() >= limits_.max_depth) {
      throw Stop{from_yaml(mark), str("nested deeper than ", limits_.max_depth, " levels")};
    }
    check_tag(mark, tag);
    before_value(mark);
    kind == Kind::kMapping ? tree_.begin_mapping() : tree_.begin_sequence();
    open_.push_back(tree_.last_value());
    remember(anchor, open_.back());
    has_key_ = false;
  }

  void close() {
    tree_.end();
    open_.pop_back();
    has_key_ = false;
  }

  void remember(YAML::anchor_t anchor, const Value* value) {
    if (anchor == 0) return;
    if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
    anchors_[anchor] = value;
  }

  // The core schema's tags say nothing that the text does not; others would change its meaning.
  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    static constexpr std::string_view kCore[] = {"bool", "int", "float", "null", "seq", "map"};
    constexpr std::string_view kPrefix = "tag:yaml.org,2002:";
    if (tag.empty() || tag == "?" || tag == "!") return;
    const std::string_view name = std::string_view(tag);
    if (name.starts_with(kPrefix) && std::find(std::begin(kCore), std::end(kCore),
                                               name.substr(kPrefix.size())) != std::end(kCore)) {
      return;
    }
    errors_.error({source_, from_yaml(mark), {}},
                  str("tag \"", printable(tag), "\" is not supported"));
  }

  void check_alias(const YAML::Mark& mark, const Value& target) {
    if (std::find(open_.begin(), open_.end(), &target) != open_.end()) {
      throw Stop{from_yaml(mark), "an alias within its own anchor would never end"};
    }
    size_t depth = 0;
    alias_values_ += count_values(target, 0, depth);
    if (alias_values_ > limits_.max_alias_values) {
      throw Stop{from_yaml(mark),
                 str("aliases stand for more than ", limits_.max_alias_values, " values")};
    }
    if (open_.size() + depth > limits_.max_depth) {
      throw Stop{from_yaml(mark), str("nested deeper than ", limits_.max_depth, " levels")};
    }
  }

  static size_t count_values(const Value& value, size_t depth, size_t& deepest) {
    deepest = std::max(deepest, depth);
    if (value.kind != Kind::kSequence && value.kind != Kind::kMapping) return 1;
    size_t count = 1;
    for (const Value* child = value.first_child; child != nullptr; child = child->next) {
      count += count_values(*child, depth + 1, deepest);
    }
    return count;
  }

  void report_duplicate_keys(const Value& mapping) {
    std::vector<const Value*> children;
    children.reserve(mapping.size);
    for (const Value* c = mapping.first_child; c != nullptr; c = c->next) children.push_back(c);
    std::stable_sort(children.begin(), children.end(),
                     [](const Value* a, const Value* b) { return a->key->text < b->key->text; });
    for (size_t i = 1; i < children.size(); ++i) {
      const Value& first = *children[i - 1];
      if (first.key->text != children[i]->key->text) continue;
      errors_.error(
          Node(children[i], &errors_).key_where(),
          str("duplicate key, first written at ", first.key_mark.line, ':', first.key_mark.column));
    }
  }

  const std::string_view text_;
  const std::string& source_;
  Errors& errors_;
  const LoadLimits& limits_;
  TreeBuilder tree_;
  std::vector<const Value*> open_;
  std::vector<const Value*> anchors_;  // by yaml-cpp's anchor number
  size_t alias_values_ = 0;
  const bool may_begin_;
  int last_quoted_at_ = -1;
  Mark key_mark_;         // of the last key
  bool has_key_ = false;  // the open mapping has a key that waits for its value
};

// yaml-cpp ends a quoted text silently at the end of the file: a truncated file must not pass.
bool is_terminated(std::string_view text, int offset) {
  if (offset < 0) return true;
  // An anchor or tag may stand before the quote.  A block scalar may have quotes of its own.
  const size_t at = text.find_first_of("\"'|>", static_cast<size_t>(offset));
  if (at == text.npos || text[at] == '|' || text[at] == '>') return true;
  return end_of_quote(text, at) != text.npos;
}

// Is there a bracket at `offset` that nothing closes?  yaml-cpp takes it for a key.
bool is_unclosed_bracket(std::string_view text, int offset) {
  if (offset < 0 || static_cast<size_t>(offset) >= text.size()) return false;
  size_t at = static_cast<size_t>(offset), depth = 0;
  if (text[at] != '[' && text[at] != '{') return false;
  for (char before = ' '; at < text.size(); before = text[at++]) {
    const char c = text[at];
    const bool begins = std::string_view(" \t\n,[{:").find(before) != std::string_view::npos;
    if ((c == '"' || c == '\'') && begins) {
      at = end_of_quote(text, at);
    } else if (c == '#' && (before == ' ' || before == '\t' || before == '\n')) {
      at = text.find('\n', at);
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if ((c == ']' || c == '}') && --depth == 0) {
      return false;
    }
    if (at == text.npos) return true;
  }
  return true;
}

Mark mark_at(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return {static_cast<uint32_t>(lines) + 1, static_cast<uint32_t>(offset - line_start) + 1};
}

std::string_view line_of(std::string_view text, uint32_t line) {
  for (; line > 1; --line) text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  return text.substr(0, text.find('\n'));
}

// What yaml-cpp says, and the likely cause.
std::string explain(const YAML::Exception& error, Mark mark, Mark open, std::string_view text) {
  std::string out = "not valid YAML: " + error.msg;
  if (error.msg == YAML::ErrorMsg::END_OF_MAP_FLOW ||
      error.msg == YAML::ErrorMsg::END_OF_SEQ_FLOW) {
    return str(out, " (it begins at ", open.line, ':', open.column, ')');
  }
  if (mark.line == 0) return out;
  const std::string_view line = line_of(text, mark.line);
  const std::string_view indent = line.substr(0, line.find_first_not_of(" \t"));
  if (indent.find('\t') != indent.npos) {
    out += " (YAML is indented by spaces, this line by a tab)";
  } else if (error.msg == YAML::ErrorMsg::MAP_VALUE) {
    out += " (is the indentation right? a value that contains \": \" needs quotes)";
  }
  return out;
}

}  // namespace

std::vector<DocumentPtr> parse_documents(std::string_view text, const std::string& source,
                                         Errors& errors, const LoadLimits& limits, size_t most) {
  std::vector<DocumentPtr> documents;
  std::optional<Builder> builder;
  int last_quoted_at = -1;
  TextError problem;
  try {
    ViewBuffer buffer(text);
    std::istream stream(&buffer);
    YAML::Parser parser(stream);
    while (true) {
      builder.emplace(text, source, errors, limits, documents.size() < most);
      if (!parser.HandleNextDocument(*builder)) break;
      last_quoted_at = std::max(last_quoted_at, builder->last_quoted_at());
      documents.push_back(builder->finish());
    }
  } catch (const Stop& stop) {
    problem = {stop.mark, stop.text};
    if (is_unclosed_bracket(text, stop.key_at))
      problem.text = "not valid YAML: the bracket that opens here is never closed";
  } catch (const YAML::Exception& error) {
    const Mark mark = from_yaml(error.mark);
    problem = {mark, explain(error, mark, builder ? builder->open_mark() : Mark{}, text)};
  }
  if (builder) last_quoted_at = std::max(last_quoted_at, builder->last_quoted_at());
  if (!is_terminated(text, last_quoted_at)) {
    problem = {mark_at(text, static_cast<size_t>(last_quoted_at)), "a quote is never closed"};
  }
  if (problem.text.empty()) return documents;
  errors.error({source, problem.mark, {}}, problem.text);
  return {nullptr};
}

DocumentPtr parse_yaml(std::string_view text, const std::string& source, Errors& errors,
                       const LoadLimits& limits) {
  const auto documents = parse_documents(text, source, errors, limits, 1);
  if (!documents.empty() && documents.front() == nullptr) return nullptr;
  const DocumentPtr document = documents.empty() ? nullptr : documents.front();
  const Value* root = document == nullptr ? nullptr : &document->root_value();
  if (root == nullptr || root->kind == Kind::kNull) {
    errors.error({source, {}, {}}, "the file is empty");
    return nullptr;
  }
  if (root->kind != Kind::kMapping) {
    document->root(errors).expected("a mapping (key: value)");
    return nullptr;
  }
  return document;
}

}  // namespace pillion::config
