#include "backends/block/qcow2/repair.hpp"

#include "base/bytes.hpp"

#include <array>
#include <fmt/format.h>
#include <map>
#include <unordered_map>

namespace strata::backends::qcow2 {

namespace {

constexpr std::size_t snapshot_fixed_part = 40;
constexpr std::uint64_t offset_mask = 0x00FF'FFFF'FFFF'FE00;

class Counter {
public:
    Counter(const ImageFile& file, Metadata& metadata)
        : file_(file), metadata_(metadata), header_(metadata.header) {}

    Result<void> run() {
        const auto size = file_.size();
        if (!size) {
            return std::unexpected(size.error());
        }
        file_size_ = *size;
        for (const auto step :
             {&Counter::count_fixed, &Counter::count_snapshots, &Counter::count_l2_tables, &Counter::store}) {
            if (auto done = (this->*step)(); !done) {
                return done;
            }
        }
        return {};
    }

private:
    [[nodiscard]] std::unexpected<Error> corrupt(std::string_view what) const {
        return fail(fmt::format("disk {}: corrupt: {}", file_.path(), what),
                    "repair it with: qemu-img check -r all");
    }

    void count(std::uint64_t offset, std::uint64_t length, std::uint64_t users = 1) {
        if (length == 0) {
            return;
        }
        const auto last = (offset + length - 1) >> header_.cluster_bits;
        for (auto cluster = offset >> header_.cluster_bits; cluster <= last; ++cluster) {
            counts_[cluster] += users;
        }
    }

    Result<void> count_fixed() {
        count(0, header_.cluster_size());
        count(header_.refcount_table_offset, header_.refcount_table_clusters * header_.cluster_size());
        for (const auto block : metadata_.refcounts.table()) {
            if (block != 0) {
                count(block, header_.cluster_size());
            }
        }
        return count_l1(header_.l1_offset, header_.l1_entries);
    }

    // Tables that overlap without end are no image that any program wrote.
    Result<void> count_l1(std::uint64_t offset, std::uint64_t entries) {
        count(offset, entries * 8);
        l1_bytes_ += entries * 8;
        if (entries * 8 > max_l1_bytes || l1_bytes_ > file_size_ + max_l1_bytes) {
            return corrupt("L1 tables larger than the image");
        }
        std::vector<std::byte> bytes(entries * 8);
        if (auto got = file_.read(offset, bytes); !got) {
            return got;
        }
        for (std::uint64_t i = 0; i < entries; ++i) {
            if (const auto table = load_be<std::uint64_t>(&bytes[i * 8]) & offset_mask; table != 0) {
                ++l2_users_[table];
            }
        }
        return {};
    }

    // Section Snapshots.
    Result<void> count_snapshots() {
        auto at = header_.snapshots_offset;
        for (std::uint32_t i = 0; i < header_.snapshots; ++i) {
            std::array<std::byte, snapshot_fixed_part> entry{};
            if (auto got = file_.read(at, entry); !got) {
                return got;
            }
            if (auto counted = count_l1(load_be<std::uint64_t>(&entry[0]) & offset_mask,
                                        load_be<std::uint32_t>(&entry[8]));
                !counted) {
                return counted;
            }
            const std::uint64_t length = snapshot_fixed_part + load_be<std::uint16_t>(&entry[12]) +
                                         load_be<std::uint16_t>(&entry[14]) +
                                         load_be<std::uint32_t>(&entry[36]);
            at = align_up(at + length, 8);
            if (at > file_size_) {
                return corrupt("snapshot table outside the image");
            }
        }
        count(header_.snapshots_offset, at - header_.snapshots_offset);
        return {};
    }

    Result<void> count_l2_tables() {
        std::vector<std::byte> bytes(header_.cluster_size());
        for (const auto& [table, users] : l2_users_) {
            if ((table & header_.cluster_mask()) != 0 || table >= file_size_) {
                return corrupt("misplaced L2 table");
            }
            count(table, header_.cluster_size(), users);
            if (auto got = file_.read(table, bytes); !got) {
                return got;
            }
            for (std::uint64_t i = 0; i < header_.l2_entries(); ++i) {
                const auto mapping = metadata_.map.understand(load_be<std::uint64_t>(&bytes[i * 8]));
                if (!mapping) {
                    return std::unexpected(mapping.error());
                }
                if (mapping->host != 0) {
                    count(mapping->host, mapping->length, users);
                }
            }
        }
        return {};
    }

    Result<void> store() {
        const auto clusters = align_up(file_size_, header_.cluster_size()) >> header_.cluster_bits;
        for (std::uint64_t cluster = 0; cluster < clusters; ++cluster) {
            counts_.try_emplace(cluster, 0);
        }
        for (const auto& [cluster, users] : counts_) {
            const auto before = metadata_.refcounts.get(cluster);
            if (!before) {
                return std::unexpected(before.error());
            }
            if (*before != users) {
                if (auto set = metadata_.refcounts.set(cluster, users); !set) {
                    return set;
                }
            }
        }
        return {};
    }

    const ImageFile& file_;
    Metadata& metadata_;
    const Header& header_;
    std::uint64_t file_size_ = 0, l1_bytes_ = 0;
    std::map<std::uint64_t, std::uint64_t> l2_users_;         // by the table's offset
    std::unordered_map<std::uint64_t, std::uint64_t> counts_; // by cluster number
};

} // namespace

Result<void> rebuild_refcounts(const ImageFile& file, Metadata& metadata) {
    return Counter(file, metadata).run();
}

} // namespace strata::backends::qcow2
