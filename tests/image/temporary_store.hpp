// An image store in a directory of its own, removed with it; and variables of the environment, put back.
#pragma once

#include "image/store/store.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <optional>
#include <string>

namespace strata::image {

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        auto pattern = (std::filesystem::temp_directory_path() / "strata-image-XXXXXX").string();
        path_ = mkdtemp(pattern.data());
    }

    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

// The number of files and directories in `path`.
inline std::size_t entries_in(const std::string& path) {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator()));
}

inline void write_file(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
}

class TemporaryStore {
public:
    TemporaryStore() : store(*Store::open(directory / "store")) {}

    // An image of one layer, whose content is `layer`, named `name`.
    ImageEntry add(const std::string& layer, const std::string& name) {
        auto lease = store.lease();
        const auto diff_id = Digest::of(layer);
        auto config = Config::make({.os = "linux", .architecture = "amd64"});
        config.add_layer(diff_id, {.comment = "test"});
        Manifest manifest;
        manifest.layers.push_back(describe(media_type::oci_layer, layer));
        manifest.config = describe(media_type::oci_config, config.text());
        ImageEntry entry{.target = describe(media_type::oci_manifest, manifest.text()),
                         .name = *Reference::parse(name)};
        for (const auto& text : {layer, config.text(), manifest.text()}) {
            EXPECT_TRUE(store.blobs().write_document(Digest::of(text), text, *lease));
        }
        EXPECT_TRUE(store.name_image(entry));
        return entry;
    }

    TemporaryDirectory directory;
    Store store;
};

class Variable {
public:
    Variable(const char* name, const std::string& value) : name_(name) {
        if (const char* old = std::getenv(name)) {
            old_ = old;
        }
        setenv(name, value.c_str(), 1);
    }

    ~Variable() {
        if (old_) {
            setenv(name_, old_->c_str(), 1);
        } else {
            unsetenv(name_);
        }
    }

    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    const char* name_;
    std::optional<std::string> old_{};
};

} // namespace strata::image
