// The tables of an open qcow2 image together, and the order in which their changes reach the disk.
#pragma once

#include "backends/block/qcow2/cluster_map.hpp"
#include "backends/block/qcow2/refcounts.hpp"

namespace strata::backends::qcow2 {

class Metadata {
public:
    Metadata(ImageFile& file, const Header& read)
        : file_(file), header(read), refcounts(file, header), map(file, header, refcounts) {}

    Metadata(const Metadata&) = delete;
    Metadata& operator=(const Metadata&) = delete;

    [[nodiscard]] Result<void> load();

    // Brings all changes, of data too, to stable storage. Whenever it is cut short, the image stays usable:
    // it may only hold clusters that nobody uses.
    [[nodiscard]] Result<void> commit();
    // The same if so much has changed that the caches are full.
    [[nodiscard]] Result<void> commit_if_full();

private:
    ImageFile& file_;

public:
    Header header;
    Refcounts refcounts;
    ClusterMap map;
};

} // namespace strata::backends::qcow2
