#include "image/store/blobs.hpp"

#include "base/atomic_file.hpp"
#include "base/file.hpp"
#include "image/manifest.hpp"
#include "image/store/lock.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>

namespace strata::image {
namespace {

constexpr mode_t blob_mode = 0444; // content under a digest never changes
constexpr std::string_view download_prefix = "fetch-";

std::string path_in(const std::string& store, const Digest& digest) {
    return fmt::format("{}/blobs/{}/{}", store, digest.algorithm(), digest.hex());
}

std::uint64_t size_of(int fd) {
    struct stat status{};
    return fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// Whether the file that is open still has a name.
bool is_linked(int fd) {
    struct stat status{};
    return fstat(fd, &status) == 0 && status.st_nlink > 0;
}

} // namespace

BlobWriter::BlobWriter(std::string blobs, std::string path, FileDescriptor file,
                       std::optional<Digest> expected)
    : blobs_(std::move(blobs)), path_(std::move(path)), file_(std::move(file)),
      expected_(std::move(expected)), hasher_(expected_ ? expected_->algorithm() : "sha256"),
      keep_(expected_.has_value()) {}

BlobWriter::~BlobWriter() {
    if (file_ && (!keep_ || size_ == 0)) {
        unlink(path_.c_str());
    }
}

Result<void> BlobWriter::take_existing() {
    std::vector<std::byte> buffer(1U << 20);
    ssize_t got = 0;
    while ((got = read(file_.get(), buffer.data(), buffer.size())) > 0) {
        hasher_.update(std::span(buffer).first(static_cast<std::size_t>(got)));
        size_ += static_cast<std::uint64_t>(got);
    }
    if (got < 0) {
        return fail_errno("read", path_);
    }
    return {};
}

Result<void> BlobWriter::write(std::span<const std::byte> data) {
    hasher_.update(data);
    size_ += data.size();
    return write_all(file_.get(), data, path_);
}

Result<void> BlobWriter::restart() {
    if (ftruncate(file_.get(), 0) != 0 || lseek(file_.get(), 0, SEEK_SET) != 0) {
        return fail_errno("empty", path_);
    }
    hasher_ = Hasher(expected_ ? expected_->algorithm() : "sha256");
    size_ = 0;
    return {};
}

Result<Digest> BlobWriter::commit(Lease& lease) {
    auto digest = hasher_.digest();
    if (expected_ && digest != *expected_) {
        discard();
        return fail(fmt::format("content has the digest {}, not {}", digest.text(), expected_->text()),
                    "it was damaged or changed on its way, or at its source; nothing of it was kept");
    }
    if (auto leased = lease.add(digest); !leased) {
        return std::unexpected(leased.error());
    }
    const auto path = path_in(blobs_, digest);
    if (fchmod(file_.get(), blob_mode) != 0 || fdatasync(file_.get()) != 0 ||
        rename(path_.c_str(), path.c_str()) != 0) {
        return fail_errno("store blob", digest.text());
    }
    file_.reset();
    return digest;
}

std::string Blobs::path_of(const Digest& digest) const { return path_in(store_, digest); }

bool Blobs::contains(const Digest& digest) const { return access(path_of(digest).c_str(), F_OK) == 0; }

Result<FileDescriptor> Blobs::open(const Digest& digest) const {
    FileDescriptor file(::open(path_of(digest).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) {
        return fail_errno("open blob", digest.text(), errno, "pull or load the image again");
    }
    return file;
}

Result<std::string> Blobs::read_document(const Digest& digest) const {
    const auto content = read_file(path_of(digest), "blob", largest_document);
    if (!content) {
        return std::unexpected(content.error());
    }
    std::string text(reinterpret_cast<const char*>(content->data()), content->size());
    Hasher hasher(digest.algorithm());
    hasher.update(*content);
    if (hasher.digest() != digest) {
        return fail(fmt::format("blob {} in {} is damaged", digest.text(), store_),
                    "remove the image (strata rmi) and pull or load it again");
    }
    return text;
}

Result<void> Blobs::write_document(const Digest& digest, std::string_view text, Lease& lease) const {
    if (auto leased = lease.add(digest); !leased) {
        return leased;
    }
    if (contains(digest)) {
        return {};
    }
    auto writer = begin();
    if (!writer) {
        return std::unexpected(writer.error());
    }
    writer->expected_ = digest;
    writer->hasher_ = Hasher(digest.algorithm());
    if (auto written = writer->write(std::as_bytes(std::span(text))); !written) {
        return written;
    }
    if (auto committed = writer->commit(lease); !committed) {
        return std::unexpected(committed.error());
    }
    return {};
}

Result<BlobWriter> Blobs::begin() const {
    const auto lock = StoreLock::shared(store_); // nobody sweeps before the file is locked
    if (!lock) {
        return std::unexpected(lock.error());
    }
    std::string path = store_ + "/ingest/new-XXXXXX";
    FileDescriptor file(mkostemp(path.data(), O_CLOEXEC));
    if (!file || !lock_waiting(file.get())) {
        return fail_errno("write into the image store", store_);
    }
    return BlobWriter(store_, std::move(path), std::move(file), std::nullopt);
}

Result<std::optional<BlobWriter>> Blobs::fetch(const Digest& digest) const {
    auto path = fmt::format("{}/ingest/{}{}-{}", store_, download_prefix, digest.algorithm(), digest.hex());
    while (!contains(digest)) {
        FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!file || !lock_waiting(file.get())) {
            return fail_errno("write into the image store", store_);
        }
        if (!is_linked(file.get()) || contains(digest)) {
            continue; // the one we waited for renamed it
        }
        BlobWriter writer(store_, std::move(path), std::move(file), digest);
        if (auto taken = writer.take_existing(); !taken) {
            return std::unexpected(taken.error());
        }
        return writer;
    }
    return std::nullopt;
}

Result<std::vector<StoredBlob>> Blobs::list() const {
    std::vector<StoredBlob> all;
    std::error_code failure;
    for (const std::string algorithm : {"sha256", "sha512"}) {
        for (const auto& entry :
             std::filesystem::directory_iterator(store_ + "/blobs/" + algorithm, failure)) {
            auto digest = Digest::parse(algorithm + ":" + entry.path().filename().string());
            std::error_code vanished;
            const auto size = entry.file_size(vanished);
            if (digest && !vanished) {
                all.push_back({std::move(*digest), size});
            }
        }
    }
    if (failure) {
        return fail_errno("list the blobs of", store_, failure.value());
    }
    return all;
}

void Blobs::remove(const Digest& digest) const { unlink(path_of(digest).c_str()); }

std::uint64_t Blobs::sweep_ingest(bool partial) const {
    std::uint64_t freed = 0;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(store_ + "/ingest", ignored)) {
        const auto path = entry.path().string();
        if (!partial && entry.path().filename().string().starts_with(download_prefix)) {
            continue;
        }
        const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!file || !lock_if_free(file.get())) {
            continue;
        }
        if (entry.is_directory(ignored)) { // a layer that was being unpacked
            std::filesystem::rename(path, store_ + "/trash/" + entry.path().filename().string(), ignored);
            continue;
        }
        freed += size_of(file.get());
        unlink(path.c_str());
    }
    return freed;
}

} // namespace strata::image
