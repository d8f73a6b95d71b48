"""The report's sentences."""

from __future__ import annotations

from alexnet.language import Table

WORDS: Table = {
    # Facts
    "title": ("{model} on {data}", "{data} 上的 {model}"),
    "recipe": ("recipe", "訓練配方"),
    "model": ("model", "模型"),
    "model_value": ("{model}, {parameters} parameters", "{model}，{parameters} 個參數"),
    "data": ("data", "資料"),
    "data_value": (
        "{name}: {train} train, {val} val, {test} test images",
        "{name}：訓練 {train} 張、驗證 {val} 張、測試 {test} 張",
    ),
    "data_closed": (
        "{name}: {train} train, {val} val, the test split left closed",
        "{name}：訓練 {train} 張、驗證 {val} 張，測試集未開啟",
    ),
    "training": ("training", "訓練"),
    "training_value": (
        "{epochs} epochs in {seconds} s, {speed} images/s",
        "{epochs} 個 epoch，{seconds} 秒，每秒 {speed} 張影像",
    ),
    "training_value_1": ("1 epoch in {seconds} s, {speed} images/s", "1 個 epoch，{seconds} 秒，每秒 {speed} 張影像"),
    "seed": ("seed", "亂數種子"),
    "hardware": ("hardware", "硬體"),
    "threads": ("{cpu}, {n} threads", "{cpu}，{n} 個執行緒"),
    "versions": ("versions", "版本"),
    "baseline": ("baseline", "基準方法"),
    "features": ("features", "特徵"),
    "features_value": ("{n} numbers an image", "每張影像 {n} 個數值"),
    "settings": ("settings", "設定"),
    "settings_value": ("{chosen}, chosen on held-out images", "{chosen}，以驗證集選出"),
    "time": ("time", "時間"),
    "time_value": ("{seconds} s for features and fitting", "擷取特徵與擬合共 {seconds} 秒"),
    "link_explorer": ("See the network at work", "看網路如何運作"),
    "link_explain": ("What the network has learned", "網路學到了什麼"),
    # Splits and subjects
    "test": ("test", "測試集"),
    "val": ("validation", "驗證集"),
    "train": ("train", "訓練集"),
    "network": ("network", "網路"),
    "pipeline": ("pipeline", "流程"),
    # Headline figures
    "top1": ("Top-1, {split} split", "{split} Top-1 準確率"),
    "topk": ("Top-{k}, {split} split", "{split} Top-{k} 準確率"),
    "loss": ("Loss, {split} split", "{split}損失"),
    "interval": ("95% interval {low} to {high}", "95% 信賴區間 {low} 至 {high}"),
    "of_images": ("of {n} images", "共 {n} 張影像"),
    "nats": ("nats; guessing scores {loss}", "單位 nat；隨機猜測為 {loss}"),
    "ece": ("Calibration error", "校準誤差"),
    "ece_fitted": ("after fitting; 0% is ideal", "校準後；0% 最理想"),
    "ece_raw": ("0% is ideal", "0% 最理想"),
    "parameters": ("Parameters", "參數"),
    "parameters_note": ("numbers that were learned", "由訓練學得的數值個數"),
    "training_time": ("Training time", "訓練時間"),
    "epochs": ("{n} epochs", "{n} 個 epoch"),
    "epochs_1": ("1 epoch", "1 個 epoch"),
    "epochs_pace": ("{epochs}, {pace} images/s", "{epochs}，每秒 {pace} 張影像"),
    "headline_test": (
        "The {subject} was asked to name {n} images of the test split, which played no part in training. Its first answer was right for {correct} of them: that share is <b>top-1</b>.",
        "讓{subject}辨識測試集的 {n} 張影像，這些影像完全沒有參與訓練。第一個答案正確的有 {correct} 張，這個比例就是 <b>Top-1 準確率</b>。",
    ),
    "headline_other": (
        "The {subject} was asked to name {n} images of the {split} split. Its first answer was right for {correct} of them: that share is <b>top-1</b>.",
        "讓{subject}辨識{split}的 {n} 張影像。第一個答案正確的有 {correct} 張，這個比例就是 <b>Top-1 準確率</b>。",
    ),
    "headline_topk": (
        "<b>Top-{k}</b> counts an image as right when the true class is among the {k} likeliest answers.",
        "只要正確類別在機率最高的 {k} 個答案之中，<b>Top-{k}</b> 就算答對。",
    ),
    "headline_interval": (
        "Another {n} images of the same kind would give a slightly different figure; the <b>interval</b> says how far off this one may be from luck of the draw. <b>Loss</b> is lower the more probability the true class was given, and punishes confident mistakes most.",
        "換成另外 {n} 張同類影像，數字會略有不同；<b>信賴區間</b>說明這個數字因抽樣運氣而可能偏差多少。正確類別得到的機率越高，<b>損失</b>越低；越有把握卻答錯，懲罰越重。",
    ),
    # Learning curves
    "curves_title": ("Learning curves", "學習曲線"),
    "curves_guide": (
        "An epoch is one pass over the training images. Loss should fall and top-1 rise until both level out.",
        "一個 epoch 是把所有訓練影像看過一遍。損失應逐漸下降、Top-1 逐漸上升，最後趨於平緩。",
    ),
    "curves_val": (
        "The validation images are held out of training, so they show how well the network does on images it has not seen. Training may well look worse than validation: while it learns, the network sees varied images (shifted, mirrored), works with part of its units switched off (dropout), and is measured as it changes. If instead validation gets worse while training improves, the network is learning its images by heart: stop earlier, vary the images more, or add weight decay.",
        "驗證集的影像不參與訓練，因此能看出網路對沒看過的影像表現如何。訓練曲線看起來比驗證曲線差是常有的事：學習時網路看到的是經過平移、翻轉的影像，部分單元被關閉（dropout），而且是邊學邊量。反之，若訓練越來越好而驗證越來越差，表示網路正在死背訓練影像：可提早停止、加強資料增強，或增加權重衰減。",
    ),
    "curves_no_val": (
        "No images were held out, so there is no validation curve; the figures on training images say how well these were learned, not how the network does on others.",
        "沒有保留驗證影像，因此沒有驗證曲線；訓練影像上的數字只說明這些影像學得多好，不代表對其他影像的表現。",
    ),
    "curve_loss": ("Loss over the epochs", "各 epoch 的損失"),
    "curve_top1": ("Top-1 over the epochs", "各 epoch 的 Top-1 準確率"),
    "curve_lr": ("Learning rate over the epochs", "各 epoch 的學習率"),
    "axis_epoch": ("epoch", "epoch"),
    "axis_loss": ("loss (nats)", "損失（nat）"),
    "axis_top1": ("top-1 (% of images)", "Top-1（影像的 %）"),
    "axis_lr": ("learning rate", "學習率"),
    "line_train": ("train", "訓練"),
    "line_val": ("validation", "驗證"),
    # Trials
    "trials_title": ("What was tried", "試過的設定"),
    "trials_guide": (
        "Settings, each measured on held-out training images; the best was taken. The test images played no part in it.",
        "每個設定都以保留的訓練影像衡量，取最好的一個。測試影像完全沒有參與。",
    ),
    "trials_setting": ("Setting", "設定"),
    "trials_top1": ("Validation top-1", "驗證 Top-1"),
    "trials_taken": ("taken", "採用"),
    # Confusions
    "matrix_title": ("Confusion matrix", "混淆矩陣"),
    "matrix_guide": (
        "Each row is a true class, each column an answer, each number a count of images. Right answers lie on the diagonal, in blue; mistakes off it, in orange, stronger the larger the part of the row that goes wrong that way. Two classes that are each taken for the other look alike to the {subject}.",
        "每一列是真實類別，每一欄是答案，數字是影像張數。答對的落在對角線上，以藍色表示；答錯的落在對角線外，以橘色表示，占該列比例越大顏色越深。若兩個類別常互相認錯，表示在{subject}眼中它們很像。",
    ),
    "matrix_corner": ("is \\ called", "實際 \\ 答案"),
    "pairs_title": ("Commonest mistakes", "最常見的錯誤"),
    "pairs_guide": (
        "With {n} classes the full table of answers is too large to read. These are the commonest mistakes; pairs that appear both ways round look alike to the {subject}.",
        "共有 {n} 個類別，完整的表格太大而難以閱讀。以下是最常見的錯誤；若某對類別互相認錯，表示在{subject}眼中它們很像。",
    ),
    "pairs_is": ("Is", "實際"),
    "pairs_called": ("Was called", "被認成"),
    "images": ("Images", "張數"),
    "pairs_share": ("Share of the class", "占該類別比例"),
    # Classes
    "classes_title": ("Class by class", "逐類別表現"),
    "classes_guide": (
        "Weakest class first. <b>Recall</b>: of the images that are of this class, the share that was recognised. <b>Precision</b>: of the images that were called this class, the share that really are. <b>F1</b> is high only if both are; the bar shows it.",
        "由最弱的類別排起。<b>召回率</b>：屬於此類別的影像中，被認出的比例。<b>精確率</b>：被認為是此類別的影像中，真正屬於此類別的比例。兩者都高，<b>F1</b> 才高；長條表示 F1。",
    ),
    "scrolls": ("The table scrolls.", "表格可以捲動。"),
    "class": ("Class", "類別"),
    "precision": ("Precision", "精確率"),
    "recall": ("Recall", "召回率"),
    # Calibration
    "calibration_title": ("Does it know when it is unsure?", "它知道自己何時沒把握嗎？"),
    "calibration_guide": (
        "The {subject} gives each answer a confidence, the probability of its first choice. If it is well calibrated, nine in ten of the answers it gives with 90% confidence are right, and the bars reach the dashed line. Bars below the line: it is too sure of itself; above: it is too cautious. The lower plot shows how often each confidence occurs; short bars there mean few images and an uncertain height above.",
        "{subject}的每個答案都有信心值，也就是第一選擇的機率。校準良好時，信心 90% 的答案十個中會有九個正確，長條會碰到虛線。長條低於虛線表示過度自信，高於虛線表示過於保守。下圖是各信心值出現的頻率；長條很短表示影像很少，上圖對應的高度也就不可靠。",
    ),
    "calibration_above": (
        "Here confidence is on average {points} percentage points above the share of right answers.",
        "這裡的信心平均比答對比例高 {points} 個百分點。",
    ),
    "calibration_below": (
        "Here confidence is on average {points} percentage points below the share of right answers.",
        "這裡的信心平均比答對比例低 {points} 個百分點。",
    ),
    "temperature": (
        "Scores are divided by a temperature that was fitted on held-out images before they become probabilities; it travels with the weights, and what is shown here is after it. The calibration error is {after} with it, {before} without.",
        "分數在轉為機率之前，先除以一個以驗證集擬合出的溫度；這個溫度與權重存放在一起，這裡顯示的是套用後的結果。校準誤差套用後為 {after}，套用前為 {before}。",
    ),
    "plot_calibration": ("Share of right answers at each confidence", "各信心值的答對比例"),
    "axis_right": ("right answers (% of images)", "答對（影像的 %）"),
    "axis_confidence": ("confidence (%)", "信心（%）"),
    "axis_share": ("share of images (%)", "影像比例（%）"),
    "ideal": ("ideal", "理想"),
    # Answers
    "answers_title": ("Answers that are withheld", "保留不答"),
    "answers_never": (
        "On the held-out images no threshold keeps {accept} of the answers right (the dashed line), so `alexnet predict` says <b>unsure</b> of every image; a lower `--accept` lets it answer.",
        "在驗證集上，沒有任何門檻能讓 {accept} 的答案正確（虛線），因此 `alexnet predict` 對每張影像都回答<b>不確定</b>；調低 `--accept` 才會作答。",
    ),
    "answers_always": (
        "On the held-out images {accept} of all answers or more were right (the dashed line), so `alexnet predict` answers whatever the probability.",
        "在驗證集上，所有答案至少有 {accept} 正確（虛線），因此不論機率多少，`alexnet predict` 都會作答。",
    ),
    "answers_some": (
        "Where the probability of the first choice is below {least}, `alexnet predict` says <b>unsure</b>: a threshold chosen on held-out images so that {accept} of the answers it does give are right (the dashed line).",
        "第一選擇的機率低於 {least} 時，`alexnet predict` 會回答<b>不確定</b>：這個門檻以驗證集選出，使作答的答案有 {accept} 正確（虛線）。",
    ),
    "answers_share": ("On these images it answers {share}.", "對這些影像，它回答了其中的 {share}。"),
    "answers_accuracy": (
        "On these images it answers {share} (the dot), and {accuracy} of those answers are right.",
        "對這些影像，它回答了其中的 {share}（圓點），這些答案有 {accuracy} 正確。",
    ),
    "answers_none": (
        "An image far from all classes in feature space is called <b>none of these</b>; that befell {share} of these images, which are of the classes.",
        "在特徵空間中離所有類別都很遠的影像，會回答<b>都不是</b>；這些影像其實都屬於這些類別，卻有 {share} 被這樣回答。",
    ),
    "answers_other": (
        "`--accept` chooses another point of the curve.",
        "以 `--accept` 可選擇曲線上的另一點。",
    ),
    "plot_answers": ("Accuracy against the share of images answered", "作答比例與準確率"),
    "axis_answered": ("images answered (%)", "作答的影像（%）"),
    "axis_given": ("right answers (% of given)", "答對（作答的 %）"),
    # Mistakes
    "mistakes_title": ("Worst mistakes", "最嚴重的錯誤"),
    "mistakes_guide": (
        "The wrong answers given with the most confidence; in brackets, the probability the {subject} gave to each class. They are worth a look one by one: some are wrongly labelled or hard for people too, and what they share often says what the {subject} relies on.",
        "最有信心卻答錯的影像；括號內是{subject}給各類別的機率。值得一張張看：有些其實是標錯了，或連人也難以分辨；它們的共同點往往透露{subject}依賴什麼線索。",
    ),
    "mistake": (
        "is <b>{truth}</b> ({truth_p})<br>called <b>{predicted}</b> ({p})",
        "實際是 <b>{truth}</b>（{truth_p}）<br>認成 <b>{predicted}</b>（{p}）",
    ),
    "mistakes_none": ("None: every image was recognised.", "沒有：每張影像都認出來了。"),
    # Photographs
    "look_title": ("Photographs to look at", "值得檢查的照片"),
    "look_guide": (
        "Found in the folder before training. `alexnet data clean {folder}` moves what you choose out of the way, and back again.",
        "訓練前在資料夾中找到的問題。`alexnet data clean {folder}` 可把你選定的檔案移到一旁，也可移回。",
    ),
    "suspects_title": ("Perhaps in the wrong folder", "可能放錯資料夾"),
    "suspects_guide": (
        "Another class fits these at least ten times better than their own, by a classifier that saw only the other photographs. Some are right and merely unusual.",
        "以只看過其他照片的分類器判斷，這些照片屬於另一類別的可能性至少是自己類別的十倍。有些其實沒錯，只是比較特殊。",
    ),
    "suspect": (
        "is <b>{label}</b>, looks like <b>{suggested}</b>",
        "放在 <b>{label}</b>，看起來像 <b>{suggested}</b>",
    ),
    "duplicates_title": ("One picture several times", "同一張照片出現多次"),
    "duplicates_guide": (
        "They were kept on one side of the split, so that none that was trained on is tested. Where the folder came with its own `train` and `test`, they stay where they are and can make the figures too good.",
        "它們會被分在同一邊，訓練過的照片不會拿來測試。若資料夾本來就分好 `train` 與 `test`，則維持原狀，可能使數字偏高。",
    ),
    "same_bytes": ("The same bytes", "內容完全相同"),
    "same_pixels": ("Nearly the same pixels", "畫面幾乎相同"),
    "unreadable_title": ("Left out, as they cannot be read", "無法讀取而略過"),
    "file": ("File", "檔案"),
    "why": ("Why", "原因"),
    # Filters
    "filters_title": ("First-layer filters", "第一層的濾波器"),
    "filters_color": (
        "The {n} patterns of {h}×{w} pixels that the first layer looks for everywhere in an image. Mid-grey is a weight of zero; colours show patterns that react to colour. Edges and blobs of opposing colours are what a trained network has; patterns that look like noise have learned little. Each filter is scaled by its own largest weight.",
        "第一層在影像各處尋找的 {n} 種 {h}×{w} 像素圖樣。中灰色代表權重為零，彩色表示對顏色有反應。訓練良好的網路會有各方向的邊緣與互補色的色塊；看起來像雜訊的圖樣則沒學到什麼。每個濾波器依自己最大的權重縮放。",
    ),
    "filters_grey": (
        "The {n} patterns of {h}×{w} pixels that the first layer looks for everywhere in an image. Mid-grey is a weight of zero, white a positive and black a negative weight. Edges and blobs are what a trained network has; patterns that look like noise have learned little. Each filter is scaled by its own largest weight.",
        "第一層在影像各處尋找的 {n} 種 {h}×{w} 像素圖樣。中灰色代表權重為零，白色為正、黑色為負。訓練良好的網路會有各方向的邊緣與斑點；看起來像雜訊的圖樣則沒學到什麼。每個濾波器依自己最大的權重縮放。",
    ),
    "words_title": ("Words of the dictionary", "字典中的視覺詞"),
    "words_guide": (
        "{n} of the patches of {h}×{w} pixels that k-means found and that every place of an image is compared with, whitened: brightness, contrast and the likeness of neighbouring pixels are taken out. Edges and blobs at all angles are what good dictionaries have.",
        "k-means 找出的 {h}×{w} 像素小塊中的 {n} 個，影像各處都會與它們比對。小塊已白化：去除了亮度、對比與相鄰像素的相似性。好的字典會有各種角度的邊緣與斑點。",
    ),
    "towers_guide": (
        "The next layer sees these filters in {n} parts, each by itself, as on the two GPUs of 2012. There one tower became nearly grey and the other coloured; the share of colour is what the three channels of a filter do not have in common, squared.",
        "下一層把這些濾波器分成 {n} 部分各自讀取，如同 2012 年的兩張 GPU。當年一邊幾乎全是灰階，另一邊則是彩色；色彩比例是濾波器三個色版不一致部分的平方占比。",
    ),
    "tower_color": (
        "Tower {i}: filters {first} to {last}, {share} colour",
        "第 {i} 部分：濾波器 {first} 至 {last}，色彩 {share}",
    ),
    "tower": ("Tower {i}: filters {first} to {last}", "第 {i} 部分：濾波器 {first} 至 {last}"),
    "filters_alt": ("{n} filters of the first layer", "第一層的 {n} 個濾波器"),
    "words_alt": ("{n} words of the dictionary", "字典中的 {n} 個視覺詞"),
    # How to repeat it
    "repeat_title": ("How to repeat it", "如何重現"),
    "repeat_guide": (
        "The same recipe, seed and versions on the same machine give the same result. Another machine or version may round differently, which training amplifies: expect a top-1 close by, not the same digits.",
        "在同一台機器上，以相同的配方、種子與版本會得到相同的結果。換機器或版本時，捨入可能不同，訓練會把差異放大：Top-1 會相近，但不會每位數都相同。",
    ),
    "recipe_title": ("Recipe", "訓練配方"),
    "recipe_guide": (
        "Every setting that decides the outcome. None means that the setting is off, or left to its own default.",
        "決定結果的每一項設定。None 表示關閉，或採用預設值。",
    ),
    # What to look at in a folder
    "clean_title": ("{folder}: what to look at", "{folder}：值得檢查的地方"),
    "clean_folder": ("folder", "資料夾"),
    "clean_images": ("images", "影像"),
    "clean_broken": ("unreadable", "無法讀取"),
    "clean_duplicates": ("duplicates", "重複"),
    "clean_suspects": ("suspected labels", "可疑標籤"),
    "clean_suspects_title": ("Suspected wrong labels", "可疑的標籤"),
    "clean_suspects_guide": (
        "The most suspicious first. Each photograph was classified by a linear classifier that was fitted to the other four fifths of the photographs, on the features of a pretrained network. Some are hard, or unlike the rest of their class, and rightly labelled: look before you move them. {n} of them fit another class ten times better than their own; these are listed in `moves.json`.",
        "由最可疑的排起。每張照片都由線性分類器判斷，這個分類器只用其餘五分之四的照片、以預訓練網路的特徵訓練而成。有些照片只是難認，或與同類不太像，標籤其實沒錯：移動前請先看一眼。其中 {n} 張屬於另一類別的可能性是自己類別的十倍，已列在 `moves.json`。",
    ),
    "clean_duplicates_guide": (
        "Duplicates within a class weigh it more; across training and test they make the figures too good; across classes one label must be wrong.",
        "同一類別中的重複照片會加重該類別；跨訓練與測試的重複會使數字偏高；跨類別的重複必有一個標籤是錯的。",
    ),
    "clean_none": ("None were found.", "沒有找到。"),
    "clean_unreadable_title": ("Files that cannot be read", "無法讀取的檔案"),
    "clean_readable": ("All can be read.", "全部都能讀取。"),
}
