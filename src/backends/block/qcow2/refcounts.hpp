// Which clusters of a qcow2 image are in use, and by how many: the refcount table and its blocks; allocation.
// QCOW2 image format, section Host cluster management.
//
// Nothing here may reach the disk in an order that lets a crash lose a cluster that is in use: increments are
// written before the references to the new clusters, decrements after the old references are gone. At worst a
// crash leaves clusters that are counted but not used.
#pragma once

#include "backends/block/qcow2/header.hpp"
#include "backends/block/qcow2/table_cache.hpp"

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

namespace strata::backends::qcow2 {

class Refcounts {
public:
    // Both outlive this. `header` is updated when the table moves.
    Refcounts(ImageFile& file, Header& header);

    [[nodiscard]] Result<void> load();

    // The number of a cluster is its offset divided by the cluster size.
    [[nodiscard]] Result<std::uint64_t> get(std::uint64_t cluster);
    [[nodiscard]] Result<void> set(std::uint64_t cluster, std::uint64_t count);

    struct Allocation {
        std::uint64_t offset;
        bool zeroed; // the clusters have never been written
    };

    // `count` clusters in a row, from now on used once.
    [[nodiscard]] Result<Allocation> allocate(std::uint64_t count = 1);

    // The clusters that [offset, offset + length) lies in lose a user, at the next apply_releases().
    void release(std::uint64_t offset, std::uint64_t length);

    // Writes all counts. Afterwards clusters allocated so far may be referenced on disk, once the file is
    // flushed.
    [[nodiscard]] Result<void> write();
    // The references to released clusters are gone from the disk: their counts may go down.
    [[nodiscard]] Result<void> apply_releases();

    [[nodiscard]] bool has_releases() const { return !released_.empty(); }

    [[nodiscard]] bool is_changed() const {
        return blocks_.changed() != 0 || table_moved_ || !changed_entries_.empty();
    }

    [[nodiscard]] bool wants_writing() const;

    // The offset of each block, 0 for those that do not exist.
    [[nodiscard]] const std::vector<std::uint64_t>& table() const { return table_; }

private:
    struct Place {
        std::uint64_t block; // index in the table
        std::uint64_t bit;   // of the count within the block
    };

    [[nodiscard]] std::unexpected<Error> corrupt(std::string_view what) const;
    [[nodiscard]] Result<void> check_blocks() const;
    [[nodiscard]] Place place_of(std::uint64_t cluster) const;
    [[nodiscard]] Result<std::uint64_t> find_free();
    [[nodiscard]] Result<std::uint64_t> take_fresh(std::uint64_t count);
    [[nodiscard]] Result<void> ensure_block(std::uint64_t block);
    [[nodiscard]] Result<void> grow_table(std::uint64_t block);
    [[nodiscard]] Result<void> write_table();
    [[nodiscard]] Result<void> write_moved_table();

    ImageFile& file_;
    Header& header_;
    TableCache blocks_;
    std::vector<std::uint64_t> table_;
    std::set<std::uint64_t> changed_entries_;
    bool table_moved_ = false;
    std::vector<std::uint64_t> released_;
    std::uint64_t next_free_ = 0; // no cluster below is free
    std::uint64_t fresh_ = 0;     // from here on no cluster was ever used
};

} // namespace strata::backends::qcow2
