#include "xds/proto/schema.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wire_format_lite.h>

#include <string>

#include "xds/proto/descriptor_set.h"

namespace pillion::xds {
namespace {

namespace pb = google::protobuf;

class Schema {
 public:
  static Schema& get() {
    static Schema* schema = new Schema;  // never destroyed: threads may outlive main()
    return *schema;
  }

  // Found by file, not by name in the pool: that keeps each name that it does not know, and a peer
  // chooses the names.
  const pb::Descriptor* find(std::string_view type) {
    std::string file;
    if (!has_file_of(type, file)) return nullptr;
    const pb::FileDescriptor* descriptor = pool_.FindFileByName(file);
    if (descriptor == nullptr) return nullptr;
    const std::string& package = descriptor->package();
    if (!type.starts_with(package) || type.size() <= package.size() + 1) return nullptr;
    return descriptor->FindMessageTypeByName(std::string(type.substr(package.size() + 1)));
  }

  bool has_file_of(std::string_view type, std::string& file) {
    return !type.empty() && database_.FindNameOfFileContainingSymbol(std::string(type), &file);
  }

  std::unique_ptr<pb::Message> make(const pb::Descriptor* type) {
    return std::unique_ptr<pb::Message>(factory_.GetPrototype(type)->New());
  }

 private:
  // What protobuf has to say about its input (a text that is no UTF-8) is said by who asks.
  Schema() {
    pb::SetLogHandler(nullptr);
    using Wire = pb::internal::WireFormatLite;
    const std::string_view set = descriptor_set();
    pb::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(set.data()),
                                static_cast<int>(set.size()));
    // FileDescriptorSet: `repeated FileDescriptorProto file = 1`, left where they are.
    while (in.ReadTag() == Wire::MakeTag(1, Wire::WIRETYPE_LENGTH_DELIMITED)) {
      uint32_t size = 0;
      if (!in.ReadVarint32(&size)) break;
      const auto at = static_cast<size_t>(in.CurrentPosition());
      if (!in.Skip(static_cast<int>(size))) break;
      database_.Add(set.data() + at, static_cast<int>(size));
    }
  }

  pb::EncodedDescriptorDatabase database_;
  pb::DescriptorPool pool_{&database_};
  pb::DynamicMessageFactory factory_{&pool_};
};

// The number of the three extensions of marks.proto.  Nothing is generated from it, so that they
// are unknown fields of the options.
constexpr int kMarkNumber = 50700;

template <typename Options>
Mark mark_in(const Options& options) {
  const pb::UnknownFieldSet& fields = options.unknown_fields();
  for (int i = 0; i < fields.field_count(); ++i) {
    const pb::UnknownField& field = fields.field(i);
    if (field.number() == kMarkNumber && field.type() == pb::UnknownField::TYPE_VARINT)
      return static_cast<Mark>(field.varint());
  }
  return Mark::kServed;
}

}  // namespace

std::unique_ptr<pb::Message> make_message(std::string_view type) {
  const pb::Descriptor* descriptor = Schema::get().find(type);
  return descriptor == nullptr ? nullptr : Schema::get().make(descriptor);
}

bool has_message(std::string_view type) {
  std::string file;
  return Schema::get().has_file_of(type, file);
}

const pb::Descriptor* find_message(std::string_view type) { return Schema::get().find(type); }

Mark mark_of(const pb::FieldDescriptor& field) { return mark_in(field.options()); }

bool refuses_unknown_fields(const pb::Descriptor& message) {
  for (const pb::Descriptor* m = &message; m != nullptr; m = m->containing_type())
    if (mark_in(m->options()) == Mark::kRefuse) return true;
  return mark_in(message.file()->options()) == Mark::kRefuse;
}

}  // namespace pillion::xds
