// The entries of one layer's archive, made into files one after the other.
#pragma once

#include "image/layer/tree.hpp"
#include "image/layer/unpack.hpp"

#include <map>
#include <set>
#include <sys/types.h>

namespace strata::image {

class Unpacker {
public:
    Unpacker(int directory, const UnpackOptions& options)
        : root_(directory), options_(options), tree_(directory) {}

    [[nodiscard]] Result<void> unpack(TarReader& tar);

private:
    struct Attributes {
        uid_t uid = 0;
        gid_t gid = 0;
        mode_t mode = 0;
        timespec modified{};
    };

    [[nodiscard]] Result<void> take(archive_entry* entry, TarReader& tar);
    [[nodiscard]] Result<void> whiteout(const std::string& above, const std::string& marked);
    [[nodiscard]] Result<void> mark_opaque(int directory) const;
    [[nodiscard]] Result<void> clear_lower(const std::string& path) const;
    [[nodiscard]] Result<void> make(archive_entry* entry, const std::string& path, TarReader& tar);

    // Makes way for an entry; whether it takes the place of a whiteout, and whether a directory there stays.
    struct Before {
        bool whiteout = false, directory = false;
    };

    [[nodiscard]] Result<Before> replace(const Place& place, bool by_directory);

    [[nodiscard]] Result<void> make_directory(archive_entry* entry, const std::string& path,
                                              const Place& place, const Before& before);
    [[nodiscard]] Result<void> make_file(archive_entry* entry, const Place& place, TarReader& tar);
    [[nodiscard]] Result<void> make_hard_link(const std::string& target, const Place& place);
    [[nodiscard]] Result<void> make_other(archive_entry* entry, const Place& place);
    [[nodiscard]] Result<void> fill(int file, std::uint64_t size, TarReader& tar);

    [[nodiscard]] static Result<Attributes> attributes_of(archive_entry* entry);
    [[nodiscard]] Result<void> set_owner(const Place& place, const Attributes& attributes) const;
    [[nodiscard]] Result<void> set_xattrs(archive_entry* entry, const std::string& path) const;
    [[nodiscard]] Result<void> finish_directories();
    void remember(const std::string& path);

    int root_;
    const UnpackOptions& options_;
    Tree tree_;
    std::uint64_t bytes_ = 0, entries_ = 0;
    std::map<std::string, Attributes> directories_{}; // whose modes and times are set when they are full
    std::set<std::string> made_{};                    // by this layer; only where whiteouts are applied
};

} // namespace strata::image
