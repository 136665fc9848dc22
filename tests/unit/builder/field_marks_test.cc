// The marks of xds/proto say what the parsers do: what has none is read somewhere, `ignore` is what
// is only refused in files, and `refuse` what is refused from xDS too.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/config/node.h"
#include "tests/unit/builder/schema_text.h"
#include "xds/proto/descriptor_set.h"
#include "xds/proto/schema.h"

namespace pillion {
namespace {

using namespace testing;

// A message is looked at in so many places where the same field holds it: each may have a parser of
// its own.
constexpr size_t kMaxWays = 8;

const config::Value* child_of(const config::Value* value, std::string_view key) {
  const config::Value* v = value->first_child;
  if (value->kind == config::Kind::kSequence) return v;
  if (value->kind != config::Kind::kMapping) return nullptr;
  while (v != nullptr && v->key->text != key) v = v->next;
  return v;
}

constexpr std::string_view kInvented = "never_heard_of";  // a field that no message has

constexpr size_t kMaxSteps = 12;  // messages that hold themselves have no end

// SchemaWalk: puts each field of each message of xds/proto into a resource, in places where parsers
// look, and sees what they say.
//
// A way leads from a resource to a message: fields, and types inside of Any.  It counts only if the
// parser closes the message there (reject_unknown_keys), which tells that it was read.  So parsers
// may grow and nothing here has to know them; only what they demand beside a field is in
// schema_bases.inc.
class SchemaWalk {
 public:
  SchemaWalk();

  // What becomes of it, in the places where its message is read; none: it is read nowhere.
  using Verdicts = std::map<const google::protobuf::FieldDescriptor*, std::set<Verdict>>;
  Verdicts fields;
  // The same for a field that no message has.
  std::map<const google::protobuf::Descriptor*, std::set<Verdict>> unknown;
  // Fields that a parser called unknown, and where.
  std::map<const google::protobuf::FieldDescriptor*, std::string> misjudged;

 private:
  using Descriptor = google::protobuf::Descriptor;
  using FieldDescriptor = google::protobuf::FieldDescriptor;
  struct Seen {
    bool is_closed = false;
    Verdict verdict = Verdict::kServed;
    std::string misjudged_at = {};
  };

  // Parses the resource with `field: value` in the message at the end of the way.
  [[nodiscard]] Seen look(const Way& way, const FieldDescriptor* unset_oneof,
                          std::string_view field, const std::string& value) const;
  void walk(const Way& way);
  void go_on(const Way& way, const FieldDescriptor* field, const Descriptor* type);

  std::vector<const Descriptor*> extensions_;  // types that an Any may hold
  // How often each message was come to by a field.
  std::map<std::pair<const FieldDescriptor*, const Descriptor*>, size_t> ways_;
  std::vector<Way> todo_;
};

SchemaWalk::SchemaWalk() {
  pb::FileDescriptorSet set;
  const std::string_view bytes = xds::descriptor_set();
  if (!set.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) std::abort();
  for (const auto& file : set.file())
    for (const auto& message : file.message_type())
      if (file.package().starts_with("envoy.extensions.") ||
          file.package().starts_with("envoy.config.trace.") ||
          file.package() == "envoy.config.rbac.v3" || message.name() == "FilterConfig")
        extensions_.push_back(xds::find_message(str(file.package(), '.', message.name())));
  for (size_t root = 0; root < roots().size(); ++root) todo_.push_back({root, {}});
  // The shortest ways first.
  for (size_t i = 0; i < todo_.size(); ++i) walk(Way(todo_[i]));
}

SchemaWalk::Seen SchemaWalk::look(const Way& way, const FieldDescriptor* unset_oneof,
                                  std::string_view field, const std::string& value) const {
  config::Errors errors(config::UnknownFields::kCount);
  // Parsers of files know each name that the messages have.
  if (field != kInvented) errors.refuse_unknown_names();
  const std::string text = text_of(way, unset_oneof, field, value);
  const config::DocumentPtr document = config::load_text(text, "test", errors);
  if (document == nullptr || !errors.ok()) std::abort();
  roots()[way.root].parse(document->root(errors));
  const config::Value* at = &document->root_value();
  for (const Step& step : way.steps) {
    at = child_of(at, step.field->name());
    if (at != nullptr && step.field->is_repeated()) at = child_of(at, "k");
    if (at == nullptr) std::abort();
  }
  Seen seen{errors.is_closed(*at)};
  if (!seen.is_closed || field.empty()) return seen;
  const std::string path = Node(child_of(at, field), &errors).path();
  seen.verdict = verdict_on(path, errors);
  if (is_called_unknown(path, errors)) seen.misjudged_at = path;
  return seen;
}

void SchemaWalk::walk(const Way& way) {
  const Descriptor* type = end_of(way);
  size_t& ways = ways_[{way.steps.empty() ? nullptr : way.steps.back().field, type}];
  if (ways == kMaxWays || !look(way, nullptr, {}, {}).is_closed) return;
  ++ways;
  if (const Seen seen = look(way, nullptr, kInvented, "1"); seen.is_closed)
    unknown[type].insert(seen.verdict);
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const std::string value = in_container(field, sample_single(content_of(field)));
    const Seen seen = look(way, field, field->name(), value);
    if (!seen.is_closed) continue;
    fields[field].insert(seen.verdict);
    if (!seen.misjudged_at.empty()) misjudged.emplace(field, seen.misjudged_at);
    if (seen.verdict != Verdict::kServed) continue;
    const Descriptor* inside = content_of(field)->message_type();
    if (inside == nullptr) continue;
    if (inside->well_known_type() == pb::Descriptor::WELLKNOWNTYPE_ANY) {
      for (const Descriptor* extension : extensions_) go_on(way, field, extension);
    } else if (!has_own_form(inside)) {
      go_on(way, field, inside);
    }
  }
}

void SchemaWalk::go_on(const Way& way, const FieldDescriptor* field, const Descriptor* type) {
  const auto known = ways_.find({field, type});
  if ((known != ways_.end() && known->second == kMaxWays) || way.steps.size() == kMaxSteps) return;
  Way longer = way;
  longer.steps.push_back({field, type});
  todo_.push_back(std::move(longer));
}

// ---- the marks ----

// Which of them it is depends on the place, or it is served in part: no mark.
bool is_told_by_parsers(const std::set<Verdict>& seen) { return seen.contains(Verdict::kServed); }

std::string_view word(xds::Mark mark) {
  constexpr std::string_view kWords[] = {"served", "ignore", "refuse"};
  return kWords[static_cast<size_t>(mark)];
}

xds::Mark mark_for(const std::set<Verdict>& seen) {
  if (is_told_by_parsers(seen)) return xds::Mark::kServed;
  // Ignored in one place and refused in another: only the parsers can tell, and they do.
  return seen.contains(Verdict::kRefused) ? xds::Mark::kRefuse : xds::Mark::kIgnore;
}

const SchemaWalk& walk() {
  static const SchemaWalk kWalk;
  return kWalk;
}

TEST(FieldMarks, SayWhatTheParsersDo) {
  size_t refused = 0, ignored = 0;
  for (const auto& [field, seen] : walk().fields) {
    const xds::Mark mark = xds::mark_of(*field);
    const xds::Mark right = mark_for(seen);
    EXPECT_EQ(word(mark), word(right)) << field->full_name() << ": " << word(right);
    refused += right == xds::Mark::kRefuse;
    ignored += right == xds::Mark::kIgnore;
  }
  EXPECT_GT(walk().fields.size(), 700u);
  EXPECT_GT(refused, 50u);
  EXPECT_GT(ignored, 50u);
}

// Parsers of files close these strictly, as a misspelt field would do harm, and some of their
// places are those of secrets; a field of a newer API has no name to misspell, and they are
// everywhere.
bool is_strict_in_files(std::string_view name) {
  constexpr std::string_view kMessages[] = {
      "envoy.config.cluster.v3.Cluster",
      "envoy.config.core.v3.AggregatedConfigSource",
      "envoy.config.core.v3.BackoffStrategy",
      "envoy.config.core.v3.ConfigSource",
      "envoy.config.core.v3.DataSource",
      "envoy.config.core.v3.GrpcService",
      "envoy.config.core.v3.GrpcService.EnvoyGrpc",
      "envoy.config.core.v3.HttpUri",
      "envoy.config.core.v3.PathConfigSource",
      "envoy.config.core.v3.RetryPolicy",
      "envoy.config.core.v3.TypedExtensionConfig",
      "envoy.config.core.v3.WatchedDirectory",
      "envoy.extensions.filters.http.fault.v3.HTTPFault",
      "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
      "envoy.type.v3.DoubleRange",
      "envoy.type.v3.Int32Range",
      "envoy.type.v3.Int64Range",
      "xds.core.v3.TypedExtensionConfig",
  };
  return std::ranges::find(kMessages, name) != std::end(kMessages);
}

TEST(FieldMarks, SayWhichMessagesMustNotLoseFields) {
  for (const auto& [message, seen] : walk().unknown) {
    // Of one that is read strictly in one place and not in another, either may be right.
    if (seen.size() != 1 || is_strict_in_files(message->full_name())) continue;
    if (message->full_name().starts_with("google.")) continue;  // not ours to mark
    const bool is_refused = seen.contains(Verdict::kRefused);
    EXPECT_EQ(xds::refuses_unknown_fields(*message), is_refused)
        << message->full_name() << ": " << (is_refused ? "refuse" : "ignore");
  }
}

// In a file that was written by hand what nobody knows is refused.
TEST(FieldMarks, AreOfFieldsThatEachParserKnowsByName) {
  for (const auto& [field, path] : walk().misjudged)
    ADD_FAILURE() << field->full_name() << " is called an unknown field at " << path;
}

// A mark that nobody could verify might be wrong.
TEST(FieldMarks, AreOnFieldsThatAParserWasSeenToMeet) {
  for (const auto& [message, seen] : walk().unknown) {
    for (int i = 0; i < message->field_count(); ++i) {
      const auto* field = message->field(i);
      const bool is_known = walk().fields.contains(field);
      EXPECT_TRUE(is_known || xds::mark_of(*field) == xds::Mark::kServed) << field->full_name();
    }
  }
}

}  // namespace
}  // namespace pillion
