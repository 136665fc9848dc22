#include "proxy/config/yaml_stream.h"

#include <limits>

#include "proxy/config/node.h"
#include "proxy/config/yaml_text.h"

namespace pillion::config {
namespace {

// "---" at the start of a line, with white space or nothing behind it, begins a document wherever
// it stands: YAML forbids it within one (9.1.2), quoted text and block scalars included.
bool is_separator(std::string_view line) {
  if (!line.starts_with("---")) return false;
  return line.size() == 3 || std::string_view(" \t\r\n").find(line[3]) != std::string_view::npos;
}

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end == text.npos ? end : end + 1);
  text.remove_prefix(line.size());
  return line;
}

// A part of the stream that begins with a separator, or is the first.
struct Part {
  std::string_view text;
  uint32_t first_line;
  uint32_t lines;
};

std::vector<Part> split(std::string_view text) {
  std::vector<Part> parts{{text.substr(0, 0), 1, 0}};
  for (uint32_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (is_separator(line) && parts.back().lines != 0)
      parts.push_back({line.substr(0, 0), number, 0});
    Part& part = parts.back();
    part.text = {part.text.data(), part.text.size() + line.size()};
    ++part.lines;
  }
  return parts;
}

std::string_view head_of(const Part& part, const Value& root) {
  std::string_view rest = part.text;
  for (uint32_t line = part.first_line; line < root.mark.line; ++line) take_line(rest);
  return part.text.substr(0, part.text.size() - rest.size());
}

}  // namespace

std::vector<StreamDocument> load_stream(std::string_view text, const std::string& source,
                                        Errors& errors, const LoadLimits& limits) {
  if (auto checked = check_text(text, limits); !checked) {
    errors.error({source, checked.error().mark, {}}, checked.error().text);
    return {};
  }
  constexpr size_t kAny = std::numeric_limits<size_t>::max();
  std::vector<DocumentPtr> documents = parse_documents(text, source, errors, limits, kAny);
  std::vector<StreamDocument> out;
  size_t next = 0;
  for (const Part& part : split(text)) {
    StreamDocument& added = out.emplace_back(StreamDocument{part.text, {}, nullptr});
    // A document that is empty, or only comments, may or may not have been one for the parser.
    for (; next < documents.size() && documents[next] != nullptr; ++next) {
      const Value& root = documents[next]->root_value();
      if (root.kind == Kind::kNull) continue;
      if (root.mark.line >= part.first_line + part.lines) break;
      const Node node = documents[next]->root(errors);
      if (root.kind != Kind::kMapping) node.expected("a mapping (key: value)");
      if (added.document != nullptr) node.error("a document that begins without ---");
      added.document = documents[next];
      added.head = head_of(part, root);
    }
  }
  return out;
}

}  // namespace pillion::config
