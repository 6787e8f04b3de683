// An image's configuration: OCI image specification, "Image Configuration". Members that are not modelled are
// kept as they are, so that an image changed here loses nothing.
#pragma once

#include "image/descriptor.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace strata::image {

struct HistoryEntry {
    std::string created{}, created_by{}, author{}, comment{};
    bool empty_layer = false;
};

// Docker's HEALTHCHECK; times are nanoseconds, 0 for the usual ones. Its first word is "NONE", "CMD" or
// "CMD-SHELL".
struct HealthCheck {
    std::vector<std::string> test{};
    std::int64_t interval = 0, timeout = 0, start_period = 0, retries = 0;
};

// What a container made from the image runs with.
struct RunConfig {
    std::string user{}, working_directory{}, stop_signal{};
    std::vector<std::string> environment{}, entrypoint{}, command{}, exposed_ports{}, volumes{};
    std::map<std::string, std::string> labels{};
    HealthCheck health{}; // is read, and stays as it is in what is written
};

class Config {
public:
    [[nodiscard]] static Result<Config> parse(std::string_view text, std::string_view what);
    // An empty image for `platform`, made now.
    [[nodiscard]] static Config make(const Platform& platform);

    Platform platform;
    std::string created{}, author{};
    RunConfig run{};
    std::vector<Digest> diff_ids{}; // of the layers uncompressed, the lowest first
    std::vector<HistoryEntry> history{};

    [[nodiscard]] std::string text() const;
    // Every member, as it would be written.
    [[nodiscard]] Json json() const;

    // Adds a layer, or only the record of a step that changed no file.
    void add_layer(const Digest& diff_id, HistoryEntry entry);

private:
    std::shared_ptr<const Json> rest_; // the whole document as it was read
};

// The identity of layers 0 … n stacked: OCI image specification, "Layer ChainID".
[[nodiscard]] std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids);

// Now, as RFC 3339 writes it; SOURCE_DATE_EPOCH in the environment takes its place, for reproducible images.
[[nodiscard]] std::string timestamp();

} // namespace strata::image
