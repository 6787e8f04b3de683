// Marks an instance that is being made or removed: DIRECTORY/unfinished/ID, owned by who does it. Whoever
// finds a mark whose owner was killed finishes what that one began.
#pragma once

#include "base/error.hpp"
#include "base/file_descriptor.hpp"

#include <optional>
#include <string>
#include <vector>

namespace strata::instance {

class UnfinishedMark {
public:
    // Sets the mark; waits while another process has it.
    [[nodiscard]] static Result<UnfinishedMark> set(const std::string& directory, const std::string& id);
    // The marks of those who were killed, now this process's.
    [[nodiscard]] static std::vector<UnfinishedMark> abandoned(const std::string& directory);

    // Takes it away: all is done, or undone. Else it stays, abandoned when this object ends.
    void clear();

    [[nodiscard]] const std::string& id() const { return id_; }

private:
    UnfinishedMark(std::string path, std::string id, FileDescriptor file)
        : path_(std::move(path)), id_(std::move(id)), file_(std::move(file)) {}

    // None if another process has the mark, or took it away.
    [[nodiscard]] static std::optional<UnfinishedMark> take(const std::string& directory,
                                                            const std::string& id, FileDescriptor file);

    std::string path_, id_;
    FileDescriptor file_;
};

} // namespace strata::instance
