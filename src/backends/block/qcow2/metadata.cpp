#include "backends/block/qcow2/metadata.hpp"

namespace strata::backends::qcow2 {

Result<void> Metadata::load() {
    if (auto loaded = refcounts.load(); !loaded) {
        return loaded;
    }
    return map.load();
}

Result<void> Metadata::commit() {
    // Counts go up before the references are there ...
    if (auto written = refcounts.write(); !written) {
        return written;
    }
    if (auto flushed = file_.flush(); !flushed) {
        return flushed;
    }
    if (map.is_changed()) {
        if (auto written = map.write(); !written) {
            return written;
        }
        if (auto flushed = file_.flush(); !flushed) {
            return flushed;
        }
    }
    // ... and down after they are gone.
    return refcounts.apply_releases();
}

Result<void> Metadata::commit_if_full() {
    return refcounts.wants_writing() || map.wants_writing() ? commit() : Result<void>{};
}

} // namespace strata::backends::qcow2
