#include "backends/block/block.hpp"

#include "backends/block/formats.hpp"
#include "backends/block/new_image.hpp"
#include "backends/block/qcow2/image.hpp"
#include "backends/block/raw.hpp"
#include "base/suggestion.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

namespace strata::backends {

namespace {

// Raw is last: it recognises everything.
constexpr std::array table{
    Format{.name = "qcow2",
           .recognise = is_qcow2,
           .open = open_qcow2,
           .info = qcow2_info,
           .create = create_qcow2},
    Format{.name = "raw",
           .recognise = [](std::span<const std::byte>) { return true; },
           .open =
               [](ImageFile file, const OpenContext& context) {
                   return open_raw(std::move(file),
                                   context.format_guessed ? RawProbe::guessed : RawProbe::stated);
               },
           .info = raw_info,
           .create = create_raw},
};

struct Probed {
    const Format* format;
    bool guessed;
};

Result<Probed> choose_format(const ImageFile& file, std::string_view wanted) {
    const bool guess = wanted == "auto";
    std::array<std::byte, 512> sector{};
    if (guess) {
        if (auto got = file.read(0, sector); !got) {
            return std::unexpected(got.error());
        }
    }
    const auto format = find_format(guess ? probe_format(sector) : wanted);
    if (!format) {
        return std::unexpected(format.error());
    }
    return Probed{*format, guess};
}

} // namespace

std::span<const Format> formats() { return table; }

Result<const Format*> find_format(std::string_view name) {
    const auto found = std::ranges::find(table, name, &Format::name);
    if (found == table.end()) {
        std::vector<std::string_view> known;
        std::ranges::transform(table, std::back_inserter(known), &Format::name);
        return fail("unknown image format '" + std::string(name) + "'",
                    unknown_word_hint(name, known, "known formats"));
    }
    return &*found;
}

std::string_view probe_format(std::span<const std::byte> first_sector) {
    return std::ranges::find_if(table, [&](const Format& format) { return format.recognise(first_sector); })
        ->name;
}

Result<std::unique_ptr<BlockBackend>> open_image_in(const std::string& path, const OpenOptions& options,
                                                    unsigned depth) {
    if (options.format != "auto") {
        if (const auto known = find_format(options.format); !known) { // before the file is looked at
            return std::unexpected(known.error());
        }
    }
    auto file = ImageFile::open(path, options.read_only ? ImageFile::Access::read_only
                                                        : ImageFile::Access::read_write);
    if (!file) {
        return std::unexpected(file.error());
    }
    const auto probed = choose_format(*file, options.format);
    if (!probed) {
        return std::unexpected(probed.error());
    }
    return probed->format->open(
        std::move(*file),
        {.read_only = options.read_only, .format_guessed = probed->guessed, .depth = depth});
}

Result<std::unique_ptr<BlockBackend>> open_image(const std::string& path, const OpenOptions& options) {
    return open_image_in(path, options, 0);
}

Result<ImageInfo> image_info(const std::string& path) {
    const auto file = ImageFile::open(path, ImageFile::Access::read_only);
    if (!file) {
        return std::unexpected(file.error());
    }
    const auto probed = choose_format(*file, "auto");
    if (!probed) {
        return std::unexpected(probed.error());
    }
    return probed->format->info(*file);
}

Result<void> make_image(const std::string& path, const CreateOptions& options,
                        const std::function<Result<void>(const std::string&)>& fill) {
    const auto format = find_format(options.format);
    if (!format) {
        return std::unexpected(format.error());
    }
    auto image = NewImage::begin(path, options.replace);
    if (!image) {
        return std::unexpected(image.error());
    }
    if (auto created = (*format)->create(image->path(), options); !created) {
        return created;
    }
    if (auto filled = fill(image->path()); !filled) {
        return filled;
    }
    return image->finish();
}

Result<void> create_image(const std::string& path, const CreateOptions& options) {
    return make_image(path, options, [](const std::string&) { return Result<void>{}; });
}

} // namespace strata::backends
