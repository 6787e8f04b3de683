// Pulls and pushes of whole images.
#pragma once

#include "image/registry/client.hpp"
#include "image/store/store.hpp"

#include <string>
#include <string_view>

namespace strata::image {

// Is told how each piece of an image fares; from any thread.
class Progress {
public:
    Progress() = default;
    virtual ~Progress() = default;
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    // `total` is 0 where a state has no extent ("Already exists").
    virtual void show(const Digest& piece, std::string_view state, std::uint64_t done,
                      std::uint64_t total) = 0;
};

struct PullOptions {
    Platform platform = Platform::host();
    bool all_platforms = false;
};

struct Pulled {
    ImageEntry entry;
    bool is_new = true; // false when just this was here already
};

// Fetches an image from the mirrors of its registry or from itself, and names it. What is fetched has the
// digests that its manifest says; a pull that is broken off leaves no part of an image, and the next one goes
// on where it ended.
[[nodiscard]] Result<Pulled> pull_image(const Store& store, const Settings& settings, const Reference& name,
                                        const PullOptions& options, Progress& progress);

// Sends an image to the registry that its name says; returns the manifest's or index's descriptor.
[[nodiscard]] Result<Descriptor> push_image(const Store& store, const Settings& settings,
                                            const ImageEntry& entry, Progress& progress);

} // namespace strata::image
