// Content by digest: the blobs/ directory of an OCI image layout. What has a name there is whole: content
// grows in ingest/ and is renamed when its digest is right.
#pragma once

#include "base/file_descriptor.hpp"
#include "image/descriptor.hpp"
#include "image/store/lease.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace strata::image {

class Blobs;

// A blob on its way in. Destroyed unfinished, it leaves nothing; a download leaves what it has, to be
// resumed, unless that was found to be wrong.
class BlobWriter {
public:
    ~BlobWriter();
    BlobWriter(BlobWriter&&) noexcept = default;
    BlobWriter& operator=(BlobWriter&&) = delete;
    BlobWriter(const BlobWriter&) = delete;
    BlobWriter& operator=(const BlobWriter&) = delete;

    [[nodiscard]] Result<void> write(std::span<const std::byte> data);

    // What was written so far, by this process or by an interrupted one.
    [[nodiscard]] std::uint64_t size() const { return size_; }

    [[nodiscard]] Digest digest() const { return hasher_.digest(); }

    // Forgets what was written.
    [[nodiscard]] Result<void> restart();

    // What was written is wrong: nothing good can be added to it.
    void discard() { keep_ = false; }

    // Gives the blob its name, under the lease. Where a digest was expected, content of another one is
    // removed and refused.
    [[nodiscard]] Result<Digest> commit(Lease& lease);

private:
    friend class Blobs;

    BlobWriter(std::string blobs, std::string path, FileDescriptor file, std::optional<Digest> expected);
    [[nodiscard]] Result<void> take_existing();

    std::string blobs_, path_;
    FileDescriptor file_;
    std::optional<Digest> expected_;
    Hasher hasher_;
    std::uint64_t size_ = 0;
    bool keep_ = false;
};

struct StoredBlob {
    Digest digest;
    std::uint64_t size;
};

class Blobs {
public:
    explicit Blobs(std::string store) : store_(std::move(store)) {}

    [[nodiscard]] bool contains(const Digest& digest) const;
    [[nodiscard]] Result<FileDescriptor> open(const Digest& digest) const;
    // A manifest, index or configuration; its digest is checked again, since a disk may fail.
    [[nodiscard]] Result<std::string> read_document(const Digest& digest) const;
    [[nodiscard]] Result<void> write_document(const Digest& digest, std::string_view text,
                                              Lease& lease) const;

    // For content whose digest is not known yet.
    [[nodiscard]] Result<BlobWriter> begin() const;
    // For content that is fetched: goes on where an interrupted process left off, and waits while another one
    // fetches the same; nothing when that one brought it in.
    [[nodiscard]] Result<std::optional<BlobWriter>> fetch(const Digest& digest) const;

    [[nodiscard]] Result<std::vector<StoredBlob>> list() const;
    void remove(const Digest& digest) const;
    // Removes what dead processes left in ingest/ (half layers go to trash/), and with `partial` also
    // downloads that could be resumed; returns the number of bytes. The caller holds the store's lock alone.
    [[nodiscard]] std::uint64_t sweep_ingest(bool partial) const;

private:
    [[nodiscard]] std::string path_of(const Digest& digest) const;

    std::string store_;
};

} // namespace strata::image
