// Where the guest's clusters are in a qcow2 image: the L1 table and the L2 tables. QCOW2 image format,
// section Cluster mapping.
#pragma once

#include "backends/block/qcow2/header.hpp"
#include "backends/block/qcow2/refcounts.hpp"
#include "backends/block/qcow2/table_cache.hpp"

#include <cstdint>
#include <set>
#include <vector>

namespace strata::backends::qcow2 {

// One entry of an L2 table, understood.
struct Mapping {
    enum class Kind : std::uint8_t {
        unallocated, // what the backing file says
        zero,
        data,
        compressed
    };

    Kind kind = Kind::unallocated;
    std::uint64_t host = 0;   // where it is in the image; 0: nowhere
    std::uint64_t length = 0; // bytes it takes there
    bool exclusive = false;   // no other table refers to it: it may be overwritten

    bool operator==(const Mapping&) const = default;
};

class ClusterMap {
public:
    // All outlive this.
    ClusterMap(ImageFile& file, const Header& header, Refcounts& refcounts);

    [[nodiscard]] Result<void> load();

    // Takes an L2 entry apart.
    [[nodiscard]] Result<Mapping> understand(std::uint64_t entry);

    // `guest` is any offset within a cluster below the disk's size.
    [[nodiscard]] Result<Mapping> find(std::uint64_t guest);

    // The guest cluster is now at the host cluster, which was allocated for it, or zero, or unallocated. What
    // it was before is released.
    [[nodiscard]] Result<void> assign_data(std::uint64_t guest, std::uint64_t host);
    [[nodiscard]] Result<void> assign_zero(std::uint64_t guest);
    [[nodiscard]] Result<void> assign_unallocated(std::uint64_t guest);

    // Writes L2 tables and what leads to them. The counts of new clusters are on disk already.
    [[nodiscard]] Result<void> write();

    [[nodiscard]] bool is_changed() const { return tables_.changed() != 0 || !changed_l1_.empty(); }

    [[nodiscard]] bool wants_writing() const;

    // False: all that the L2 table for `guest` would map is unallocated.
    [[nodiscard]] bool has_table(std::uint64_t guest) const { return l1_[l1_index(guest)] != 0; }

    // An entry was found that cannot be right.
    [[nodiscard]] bool is_corrupt() const { return corrupt_; }

private:
    // Whether the header or one of the top tables has any of these bytes.
    [[nodiscard]] bool is_reserved(std::uint64_t host, std::uint64_t length) const;
    // Whether a whole cluster cannot be there; 0 is nowhere.
    [[nodiscard]] bool is_misplaced(std::uint64_t host) const;
    [[nodiscard]] std::unexpected<Error> corrupt(std::string_view what, std::uint64_t where);
    [[nodiscard]] Result<std::uint64_t> table_offset(std::uint64_t l1_index);
    // The offset of the L2 table for `guest`, which may be changed.
    [[nodiscard]] Result<std::uint64_t> own_table(std::uint64_t guest);
    [[nodiscard]] Result<void> assign(std::uint64_t guest, std::uint64_t entry);

    [[nodiscard]] std::uint64_t l1_index(std::uint64_t guest) const { return guest / header_.l2_reach(); }

    [[nodiscard]] std::uint64_t entry_offset(std::uint64_t table, std::uint64_t guest) const {
        return table + (guest >> header_.cluster_bits) % header_.l2_entries() * 8;
    }

    ImageFile& file_;
    const Header& header_;
    Refcounts& refcounts_;
    TableCache tables_;
    std::vector<std::uint64_t> l1_;
    std::set<std::uint64_t> changed_l1_;
    bool corrupt_ = false;
};

} // namespace strata::backends::qcow2
