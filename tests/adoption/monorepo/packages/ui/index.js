exports.title = () => "Made by ui";
