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
        allocated_end_ = align_up(file_size_, header_.cluster_size());
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

    // Whatever has users lies in the file; so the file's size bounds what is kept here, and how long it
    // takes.
    Result<void> count(std::uint64_t offset, std::uint64_t length, std::uint64_t users = 1) {
        if (offset > allocated_end_ || length > allocated_end_ - offset) {
            return corrupt(fmt::format("{} bytes at {:#x} are outside the image", length, offset));
        }
        const auto end = align_up(offset + length, header_.cluster_size()) >> header_.cluster_bits;
        for (auto cluster = offset >> header_.cluster_bits; cluster < end; ++cluster) {
            counts_[cluster] += users;
        }
        return {};
    }

    Result<void> count_fixed() {
        auto counted = count(0, header_.cluster_size());
        if (counted) {
            counted = count(header_.refcount_table_offset,
                            header_.refcount_table_clusters * header_.cluster_size());
        }
        for (const auto block : metadata_.refcounts.table()) {
            if (counted && block != 0) {
                counted = count(block, header_.cluster_size());
            }
        }
        return counted ? count_l1(header_.l1_offset, header_.l1_entries) : counted;
    }

    // Tables that overlap without end are no image that any program wrote.
    Result<void> count_l1(std::uint64_t offset, std::uint64_t entries) {
        l1_bytes_ += entries * 8;
        if (entries * 8 > max_l1_bytes || l1_bytes_ > file_size_ + max_l1_bytes) {
            return corrupt("L1 tables larger than the image");
        }
        if (auto counted = count(offset, entries * 8); !counted) {
            return counted;
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
        return header_.snapshots == 0 ? Result<void>{}
                                      : count(header_.snapshots_offset, at - header_.snapshots_offset);
    }

    Result<void> count_l2_tables() {
        std::vector<std::byte> bytes(header_.cluster_size());
        for (const auto& [table, users] : l2_users_) {
            if ((table & header_.cluster_mask()) != 0 || table >= file_size_) {
                return corrupt("misplaced L2 table");
            }
            if (auto counted = count(table, header_.cluster_size(), users); !counted) {
                return counted;
            }
            if (auto got = file_.read(table, bytes); !got) {
                return got;
            }
            for (std::uint64_t i = 0; i < header_.l2_entries(); ++i) {
                const auto mapping = metadata_.map.understand(load_be<std::uint64_t>(&bytes[i * 8]));
                if (!mapping) {
                    return std::unexpected(mapping.error());
                }
                if (auto counted = count(mapping->host, mapping->length, users); !counted) {
                    return counted;
                }
            }
        }
        return {};
    }

    // Until the caller clears the dirty bit, counts on disk may be wrong: they are written as they come.
    Result<void> store() {
        Refcounts& refcounts = metadata_.refcounts;
        for (std::uint64_t cluster = 0; cluster < allocated_end_ >> header_.cluster_bits; ++cluster) {
            const auto counted = counts_.find(cluster);
            const std::uint64_t users = counted == counts_.end() ? 0 : counted->second;
            const auto before = refcounts.get(cluster);
            if (!before) {
                return std::unexpected(before.error());
            }
            auto done = *before == users ? Result<void>{} : refcounts.set(cluster, users);
            done = done && refcounts.wants_writing() ? refcounts.write() : done;
            if (!done) {
                return done;
            }
        }
        return {};
    }

    const ImageFile& file_;
    Metadata& metadata_;
    const Header& header_;
    std::uint64_t file_size_ = 0, l1_bytes_ = 0;
    std::uint64_t allocated_end_ = 0;                         // of the file's last cluster
    std::map<std::uint64_t, std::uint64_t> l2_users_;         // by the table's offset
    std::unordered_map<std::uint64_t, std::uint64_t> counts_; // by cluster number
};

} // namespace

Result<void> rebuild_refcounts(const ImageFile& file, Metadata& metadata) {
    return Counter(file, metadata).run();
}

} // namespace strata::backends::qcow2
