#include "backends/block/qcow2/header.hpp"

#include "base/bytes.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <vector>

namespace strata::backends::qcow2 {

namespace {

// Offsets of the header's fields, all big-endian.
namespace at {
constexpr std::size_t magic = 0, version = 4, backing_file_offset = 8, backing_file_size = 16,
                      cluster_bits = 20, size = 24, encryption = 32, l1_entries = 36, l1_offset = 40,
                      refcount_table_offset = 48, refcount_table_clusters = 56, snapshots = 60,
                      snapshots_offset = 64, incompatible_features = 72, autoclear_features = 88,
                      refcount_order = 96, header_length = 100, compression = 104;
}

constexpr std::size_t length_v2 = 72, min_length_v3 = 104, written_length = 112;
constexpr std::size_t max_backing_file_size = 1023;
constexpr unsigned max_refcount_order = 6;
constexpr std::uint32_t max_snapshots = 65536;
constexpr std::uint64_t known_incompatible = feature_dirty | feature_corrupt | feature_compression_type;

// Header extensions: type, length, data padded to 8 bytes.
constexpr std::uint32_t extension_end = 0, extension_backing_format = 0xE2792ACA,
                        extension_feature_names = 0x6803F857;
constexpr std::size_t extension_header = 8;

// An entry of the feature name table: kind, bit number, name.
constexpr std::size_t feature_entry = 48, feature_name_at = 2;
constexpr std::uint8_t kind_incompatible = 0;

using Bytes = std::vector<std::byte>;

std::string text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Calls `use(type, data)` for each extension until it returns false or they end.
template <class F>
void for_each_extension(std::span<const std::byte> area, F use) {
    while (area.size() >= extension_header) {
        const auto type = load_be<std::uint32_t>(&area[0]);
        const auto length = load_be<std::uint32_t>(&area[4]);
        if (type == extension_end || length > area.size() - extension_header) {
            return;
        }
        use(type, area.subspan(extension_header, length));
        const auto step = extension_header + align_up(length, 8);
        area = area.subspan(std::min<std::size_t>(step, area.size()));
    }
}

// What the image itself calls a feature that this program does not know.
std::string feature_name(std::span<const std::byte> extensions, unsigned number) {
    std::string name = fmt::format("bit {}", number);
    for_each_extension(extensions, [&](std::uint32_t type, std::span<const std::byte> data) {
        if (type != extension_feature_names) {
            return;
        }
        for (; data.size() >= feature_entry; data = data.subspan(feature_entry)) {
            if (data[0] == std::byte{kind_incompatible} && data[1] == static_cast<std::byte>(number)) {
                const auto padded = text(data.subspan(feature_name_at, feature_entry - feature_name_at));
                name = padded.substr(0, padded.find('\0'));
            }
        }
    });
    return name;
}

// Reads the parts one after the other, each checked before the next relies on it.
class Parser {
public:
    explicit Parser(const ImageFile& file) : file_(file) {}

    Result<Header> parse() {
        for (const auto step :
             {&Parser::load, &Parser::parse_version, &Parser::parse_geometry, &Parser::parse_tables,
              &Parser::parse_features, &Parser::parse_backing_file}) {
            if (auto done = (this->*step)(); !done) {
                return std::unexpected(done.error());
            }
        }
        return header_;
    }

private:
    [[nodiscard]] std::unexpected<Error> refuse(std::string_view why, std::string hint = {}) const {
        return fail(fmt::format("disk {}: not a valid qcow2 image: {}", file_.path(), why), std::move(hint));
    }

    template <class T>
    [[nodiscard]] T field(std::size_t offset) const {
        return load_be<T>(&bytes_[offset]);
    }

    Result<void> load() {
        const auto size = file_.size();
        if (!size) {
            return std::unexpected(size.error());
        }
        file_size_ = *size;
        bytes_.resize(std::size_t{1} << min_cluster_bits);
        return file_.read(0, bytes_);
    }

    Result<void> parse_version() {
        if (!has_magic(bytes_)) {
            return refuse("bad magic");
        }
        header_.version = field<std::uint32_t>(at::version);
        if (header_.version != 2 && header_.version != 3) {
            return refuse(fmt::format("version {} is not known", header_.version));
        }
        if (field<std::uint32_t>(at::encryption) != 0) {
            return fail("disk " + file_.path() + ": encrypted images are not supported");
        }
        return {};
    }

    Result<void> parse_geometry() {
        const auto cluster_bits = field<std::uint32_t>(at::cluster_bits);
        if (cluster_bits < min_cluster_bits || cluster_bits > max_cluster_bits) {
            return refuse(fmt::format("cluster size of 2^{} bytes", cluster_bits));
        }
        header_.cluster_bits = cluster_bits;
        header_.size = field<std::uint64_t>(at::size);
        length_ = length_v2;
        if (header_.version == 3) {
            header_.refcount_order = field<std::uint32_t>(at::refcount_order);
            length_ = field<std::uint32_t>(at::header_length);
        }
        if (length_ < (header_.version == 3 ? min_length_v3 : length_v2) ||
            length_ > header_.cluster_size()) {
            return refuse(fmt::format("header of {} bytes", length_));
        }
        if (header_.refcount_order > max_refcount_order) {
            return refuse(fmt::format("refcounts of 2^{} bits", header_.refcount_order));
        }
        bytes_.resize(header_.cluster_size());
        return file_.read(0, bytes_);
    }

    Result<void> parse_tables() {
        header_.l1_entries = field<std::uint32_t>(at::l1_entries);
        header_.l1_offset = field<std::uint64_t>(at::l1_offset);
        header_.refcount_table_offset = field<std::uint64_t>(at::refcount_table_offset);
        header_.refcount_table_clusters = field<std::uint32_t>(at::refcount_table_clusters);
        header_.snapshots = field<std::uint32_t>(at::snapshots);
        header_.snapshots_offset = field<std::uint64_t>(at::snapshots_offset);
        const auto needed = header_.size / header_.l2_reach() + (header_.size % header_.l2_reach() != 0);
        if (header_.l1_entries < needed) {
            return refuse("the L1 table is too small for the disk");
        }
        const auto l1_bytes = header_.l1_entries * std::uint64_t{8};
        if (l1_bytes > max_l1_bytes || !is_table(header_.l1_offset, l1_bytes)) {
            return refuse("the L1 table is too large or misplaced");
        }
        const auto refcount_table_bytes = header_.refcount_table_clusters * header_.cluster_size();
        if (header_.refcount_table_clusters == 0 || refcount_table_bytes > max_refcount_table_bytes ||
            !is_table(header_.refcount_table_offset, refcount_table_bytes) ||
            header_.refcount_table_offset == 0) {
            return refuse("the refcount table is missing, too large or misplaced");
        }
        if (header_.snapshots > max_snapshots || !is_table(header_.snapshots_offset, 0)) {
            return refuse("the snapshot table is too large or misplaced");
        }
        return {};
    }

    // Whether a table may be here: it begins a cluster and lies in the file, so that a small file never takes
    // much memory.
    [[nodiscard]] bool is_table(std::uint64_t offset, std::uint64_t length) const {
        const auto end = align_up(file_size_, header_.cluster_size());
        return (offset & header_.cluster_mask()) == 0 && offset < bit(56) &&
               (length == 0 || (offset < end && length <= end - offset));
    }

    [[nodiscard]] std::span<const std::byte> extensions() const { return std::span(bytes_).subspan(length_); }

    Result<void> parse_features() {
        if (header_.version == 2) {
            return {};
        }
        header_.incompatible_features = field<std::uint64_t>(at::incompatible_features);
        header_.autoclear_features = field<std::uint64_t>(at::autoclear_features);
        const auto unknown = header_.incompatible_features & ~known_incompatible;
        std::string names;
        for (unsigned number = 0; number < 64; ++number) {
            if (test_bit(unknown, number)) {
                names.append(names.empty() ? "" : ", ").append(feature_name(extensions(), number));
            }
        }
        if (unknown != 0) {
            return fail("disk " + file_.path() + ": needs features that are not supported: " + names,
                        "convert it with the program that made it");
        }
        return parse_compression();
    }

    Result<void> parse_compression() {
        const auto type = length_ > min_length_v3 ? field<std::uint8_t>(at::compression) : std::uint8_t{0};
        const bool flagged = (header_.incompatible_features & feature_compression_type) != 0;
        if (type > static_cast<std::uint8_t>(Compression::zstd) || flagged != (type != 0)) {
            return refuse(fmt::format("compression type {}", type));
        }
        header_.compression = static_cast<Compression>(type);
        return {};
    }

    Result<void> parse_backing_file() {
        const auto offset = field<std::uint64_t>(at::backing_file_offset);
        const auto size = field<std::uint32_t>(at::backing_file_size);
        if (offset == 0) {
            return {};
        }
        if (size > max_backing_file_size || offset > bytes_.size() || size > bytes_.size() - offset) {
            return refuse("the backing file's name is too long or misplaced");
        }
        header_.backing_file = text(std::span(bytes_).subspan(offset, size));
        for_each_extension(extensions(), [&](std::uint32_t type, std::span<const std::byte> data) {
            if (type == extension_backing_format) {
                header_.backing_format = text(data);
            }
        });
        return {};
    }

    const ImageFile& file_;
    Bytes bytes_; // the first cluster, as far as it is known
    std::uint64_t file_size_ = 0;
    std::size_t length_ = 0;
    Header header_;
};

void append(Bytes& to, std::string_view from, std::size_t padded) {
    const auto bytes = std::as_bytes(std::span(from));
    to.insert(to.end(), bytes.begin(), bytes.end());
    to.resize(to.size() + padded - from.size());
}

template <class T>
void append_be(Bytes& to, T value) {
    to.resize(to.size() + sizeof value);
    store_be(&to[to.size() - sizeof value], value);
}

void append_extension(Bytes& to, std::uint32_t type, std::string_view data) {
    append_be(to, type);
    append_be(to, static_cast<std::uint32_t>(data.size()));
    append(to, data, align_up(data.size(), 8));
}

// Names for readers that know fewer features than this program sets.
std::string feature_names() {
    struct Row {
        char number;
        std::string_view name;
    };

    std::string table;
    for (const Row& row : {Row{0, "dirty bit"}, Row{1, "corrupt bit"}, Row{3, "compression type"}}) {
        std::string entry(feature_entry, '\0');
        entry[1] = row.number;
        row.name.copy(&entry[feature_name_at], feature_entry - feature_name_at);
        table += entry;
    }
    return table;
}

} // namespace

bool has_magic(std::span<const std::byte> first_sector) {
    return first_sector.size() >= 4 && load_be<std::uint32_t>(first_sector.data()) == magic;
}

Result<Header> read_header(const ImageFile& file) { return Parser(file).parse(); }

Result<void> write_header(ImageFile& file, const Header& header) {
    Bytes bytes(written_length);
    const auto put = [&](std::size_t offset, auto value) { store_be(&bytes[offset], value); };
    put(at::magic, magic);
    put(at::version, header.version);
    put(at::cluster_bits, std::uint32_t{header.cluster_bits});
    put(at::size, header.size);
    put(at::l1_entries, header.l1_entries);
    put(at::l1_offset, header.l1_offset);
    put(at::refcount_table_offset, header.refcount_table_offset);
    put(at::refcount_table_clusters, header.refcount_table_clusters);
    put(at::incompatible_features, header.incompatible_features);
    put(at::refcount_order, std::uint32_t{header.refcount_order});
    put(at::header_length, static_cast<std::uint32_t>(written_length));
    put(at::compression, static_cast<std::uint8_t>(header.compression));
    if (!header.backing_format.empty()) {
        append_extension(bytes, extension_backing_format, header.backing_format);
    }
    append_extension(bytes, extension_feature_names, feature_names());
    append_extension(bytes, extension_end, {});
    if (!header.backing_file.empty()) {
        put(at::backing_file_offset, std::uint64_t{bytes.size()});
        put(at::backing_file_size, static_cast<std::uint32_t>(header.backing_file.size()));
        append(bytes, header.backing_file, header.backing_file.size());
    }
    if (header.backing_file.size() > max_backing_file_size || bytes.size() > header.cluster_size()) {
        return fail("disk " + file.path() + ": the backing file's name is too long");
    }
    return file.write(0, bytes);
}

Result<void> update_features(ImageFile& file, const Header& header) {
    std::array<std::byte, 8> incompatible{}, autoclear{};
    store_be(incompatible.data(), header.incompatible_features);
    store_be(autoclear.data(), header.autoclear_features);
    if (auto written = file.write(at::incompatible_features, incompatible); !written) {
        return written;
    }
    return file.write(at::autoclear_features, autoclear);
}

Result<void> update_refcount_table(ImageFile& file, const Header& header) {
    std::array<std::byte, 12> bytes{};
    store_be(&bytes[0], header.refcount_table_offset);
    store_be(&bytes[8], header.refcount_table_clusters);
    return file.write(at::refcount_table_offset, bytes);
}

} // namespace strata::backends::qcow2
